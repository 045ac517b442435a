"""Writes what is generated of the contract: the end of docs/contract.md, and docs/kinds/KIND.md, a page for each kind.

A kind's page has its base classes with their fields and methods, a whole component as `hft new plugin` writes it, and the
checks of `hft plugins check`. Run `python docs/contract.py` after a change of any of them; tests fail where a page is older
than the code.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hft_core import components, hookspecs
from hft_core.cli.scaffold import filled, names_of
from hft_core.components import KINDS, Component
from hft_core.components.docstrings import field_docstrings
from hft_core.components.net import Net, Part
from hft_core.testing import Case, Sample, component, plugin_checks
from hft_core.testing.checks import OF_KIND

PAGE = Path(__file__).parent / "contract.md"
KIND_PAGES = Path(__file__).parent / "kinds"
TEMPLATES = Path(components.__file__).parents[1] / "templates" / "plugin"
MARKER = "<!-- from here on written by docs/contract.py -->"
_BESIDE: dict[str, tuple[type[Any], ...]] = {
    "task": (components.Roles, components.HeadSpec),
    "model": (components.Preprocessor, components.TextEncoder, Net, Part, components.Graph),
    "objective": (components.Stream, components.Loss, components.Ramp),
    "optimizer": (components.ParamGroup,),
    "exporter": (components.Finished, components.Section, components.Passage, components.Mark),
    "reader": (components.Rows, components.Refusal),
    "cleaner": (components.TextCleaner, components.RowFilter),
}
"""What belongs to a kind's methods: the classes of their arguments and results."""


def page() -> str:
    """Give the whole page: the hand-written part as it stands, and what is generated."""
    written = PAGE.read_text("utf-8").partition(MARKER)[0]
    return f"{written}{MARKER}\n\n" + "\n".join(_generated())


def kind_page(kind: str) -> str:
    """Give the page of a kind."""
    return "\n".join(_of_kind(kind))


def sections() -> dict[str, tuple[type[Any], ...]]:
    """Give the classes that are explained, by the page that explains them, relative to docs/."""
    kinds = {f"kinds/{kind}.md": (base, *_BESIDE.get(kind, ())) for kind, base in KINDS.items()}
    return {PAGE.name: (Component, Sample, Case)} | kinds


def _generated() -> Iterator[str]:
    yield "## The base classes\n"
    yield (
        "Each kind of component has one, and a page with everything about it: its base class with all methods, a whole "
        "component as `hft new plugin` writes it, and what the contract tests check. The base of them all is `Component`. A "
        "*setting* is a key of the recipe; a component's other attributes are class variables.\n"
    )
    for kind in KINDS:
        yield f"- [{kind.capitalize()}](kinds/{kind}.md): {_offer(kind)}"
    yield "\n### Component\n"
    yield from _class(Component)
    yield "### Samples\n"
    yield "What [contract tests](authors.md#tests) check components with, by their types; all of it is for tests only.\n"
    yield from _class(Sample)
    yield from _class(Case)


def _of_kind(kind: str) -> Iterator[str]:
    yield f"# {kind.capitalize()}\n"
    yield "<!-- written by docs/contract.py -->\n"
    yield (
        f"{_offer(kind)} Offered by the hook `register_{kind}s`, which returns a list of classes derived from "
        f"`{KINDS[kind].__name__}`. What comes with hft: [{kind}s](../recipe.md#{kind}s).\n"
    )
    yield "*Not run by the tests: a test of its own makes a plugin of each kind, checks it and runs its recipe.*\n"
    yield f"```bash\nhft new plugin mine --kind {kind}\n```\n"
    yield "## The base class\n"
    for cls in sections()[f"kinds/{kind}.md"]:
        yield from _class(cls)
    yield "## A whole one\n"
    yield f"As `hft new plugin mine --kind {kind}` writes it:\n"
    for file in sorted((TEMPLATES / kind / "PACKAGE").glob("*.tmpl")):
        yield f"`hft_mine/{file.name.removesuffix('.tmpl')}`:\n"
        yield f"```python\n{filled(file.read_text('utf-8'), {**names_of('mine'), 'KIND': kind})}```\n"
    yield "## What is checked\n"
    yield f"By `hft plugins check NAME`, and by [one line in a plugin's tests](../authors.md#tests), for each {kind}:\n"
    yield "| check | what it holds |"
    yield "|---|---|"
    for function in (*OF_KIND[kind], *component.CHECKS):
        yield _row(f"`{function.__name__}`", " ".join((inspect.getdoc(function) or "").split()))
    yield "\nAnd once for a plugin:\n"
    yield "| check | what it holds |"
    yield "|---|---|"
    for function in plugin_checks.CHECKS:
        yield _row(f"`{function.__name__}`", " ".join((inspect.getdoc(function) or "").split()))
    yield ""


def _offer(kind: str) -> str:
    """What a kind is for, in the words of its hook."""
    words = (inspect.getdoc(getattr(hookspecs, f"register_{kind}s")) or "").removeprefix("Offer ")
    words = words.removeprefix(f"{kind}s: ")
    return words[0].upper() + words[1:]


def _class(cls: type[Any]) -> Iterator[str]:
    yield f"`{cls.__name__}`: {_paragraph(cls)}\n"
    rows = [*_attributes(cls), *_methods(cls)]
    if rows:
        yield "| | |"
        yield "|---|---|"
        yield from rows
        yield ""


def _attributes(cls: type[Any]) -> Iterator[str]:
    """What a class declares, with the text under each: class variables, settings of a recipe, fields of a dataclass."""
    for statement in ast.parse(inspect.getsource(cls)).body[0].body:
        if not isinstance(statement, ast.AnnAssign):
            continue
        name, form, mark = statement.target.id, ast.unparse(statement.annotation), ""
        if form.startswith("ClassVar["):
            if name == "kind" and cls is not Component:
                continue  # the base of the kind says its own word
            form = form.removeprefix("ClassVar[").removesuffix("]")
        elif issubclass(cls, components.Settings):
            name, mark = cls.model_fields[name].alias or name, " (setting)"
            form = re.sub(r"Annotated\[(\w+), [^]]*\]", r"\1", form)
        yield _row(f"`{name}: {form}`{mark}", field_docstrings(cls).get(statement.target.id, ""))


def _methods(cls: type[Any]) -> Iterator[str]:
    for name, member in list(vars(cls).items()):  # looking at pydantic's members may build them
        function = inspect.unwrap(member.__func__ if isinstance(member, classmethod) else member)
        if name.startswith("_") or not inspect.isfunction(function):
            continue
        needed = " (required)" if getattr(function, "__isabstractmethod__", False) else ""
        parameters = [str(p) for p in inspect.signature(function).parameters.values() if p.name not in ("self", "cls")]
        returns = inspect.signature(function).return_annotation
        signature = f"{name}({', '.join(parameters)}) → {returns}".replace("'", "")
        yield _row(f"`{signature}`{needed}", inspect.getdoc(function) or "")


def _row(left: str, text: str) -> str:
    sentence = " ".join(text.partition("\n\n")[0].split())
    cells = [cell.replace("|", "\\|") for cell in (left, sentence)]
    return f"| {cells[0]} | {cells[1]} |"


def _paragraph(cls: type[Any]) -> str:
    return " ".join((inspect.getdoc(cls) or "").partition("\n\n")[0].split())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    KIND_PAGES.mkdir(exist_ok=True)
    for name in KINDS:
        (KIND_PAGES / f"{name}.md").write_text(kind_page(name), encoding="utf-8")
