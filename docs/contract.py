"""Writes the generated part of docs/contract.md: every base class with its fields and methods, a paragraph for each.

Run `python docs/contract.py` after a change of them; a test fails where the page is older than the code.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hft_core import components
from hft_core.components import KINDS, Component
from hft_core.components.net import Net, Part

PAGE = Path(__file__).parent / "contract.md"
MARKER = "<!-- from here on written by docs/contract.py -->"
_BESIDE: dict[str, tuple[type[Any], ...]] = {
    "task": (components.Roles, components.HeadSpec),
    "model": (components.Preprocessor, components.TextEncoder, Net, Part, components.Graph),
    "objective": (components.Stream, components.Loss, components.Ramp),
    "optimizer": (components.ParamGroup,),
    "exporter": (components.Finished, components.Section),
    "reader": (components.Rows, components.Refusal),
    "cleaner": (components.TextCleaner, components.RowFilter),
}
"""What belongs to a kind's methods: the classes of their arguments and results."""


def page() -> str:
    """Give the whole page: the hand-written part as it stands, and what is generated."""
    written = PAGE.read_text("utf-8").partition(MARKER)[0]
    return f"{written}{MARKER}\n\n" + "\n".join(_generated())


def sections() -> dict[str, tuple[type[Any], ...]]:
    """Give the classes of the page under their headings."""
    kinds = {kind.capitalize(): (base, *_BESIDE.get(kind, ())) for kind, base in KINDS.items()}
    return {"Component": (Component,)} | kinds


def _generated() -> Iterator[str]:
    yield "## The base classes\n"
    yield (
        "Each kind of component has one; the base of them all is `Component`. A *setting* is a key of the recipe; a "
        "component's other attributes are class variables.\n"
    )
    for title, classes in sections().items():
        yield f"### {title}\n"
        for cls in classes:
            yield from _class(cls)


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
    body = ast.parse(inspect.getsource(cls)).body[0].body
    for statement, following in zip(body, [*body[1:], None], strict=True):
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
        value = following.value if isinstance(following, ast.Expr) else None
        text = inspect.cleandoc(value.value) if isinstance(value, ast.Constant) else ""
        yield _row(f"`{name}: {form}`{mark}", text)


def _methods(cls: type[Any]) -> Iterator[str]:
    for name, member in vars(cls).items():
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
