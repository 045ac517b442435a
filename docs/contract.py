"""Writes the generated part of docs/contract.md: every base class as it stands, with signatures and first sentences.

Run `python docs/contract.py` after a change of them; a test fails where the page is older than the code.
"""

from __future__ import annotations

import dataclasses
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
    "objective": (components.Stream, components.Loss),
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


def _generated() -> Iterator[str]:
    yield "## The base classes\n"
    for kind, base in KINDS.items():
        yield f"### {kind.capitalize()}\n"
        for cls in (base, *_BESIDE.get(kind, ())):
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
    """Class variables of components, and fields of what is no component, with the text under each."""
    own = (
        {}
        if issubclass(cls, Component)
        else {field.name for field in dataclasses.fields(cls)}
        if dataclasses.is_dataclass(cls)
        else {}
    )
    source = inspect.getsource(cls)
    for match in re.finditer(r'^    (\w+): ([^\n]+?)(?: = [^\n]+)?\n    """(.*?)"""', source, re.MULTILINE | re.DOTALL):
        name, annotation, text = match.groups()
        if name in own or "ClassVar" in annotation or not (own or issubclass(cls, Component)):
            form = annotation.removeprefix("ClassVar[").removesuffix("]") if "ClassVar" in annotation else annotation
            yield _row(f"`{name}: {form}`", text)


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
