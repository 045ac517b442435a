"""Writes the generated part of docs/recipe.md from the docstrings of the recipe's model and of hft's own components.

Run `python docs/reference.py` after a change of them; a test fails where the page is older than the code.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from hft_core import hookspecs
from hft_core.components import KINDS, Component, Ramp, Settings
from hft_core.recipe.model import (
    DIRECT,
    Data,
    Evaluate,
    Plateau,
    Prepare,
    Recipe,
    Reporting,
    Split,
    Stage,
    TaskData,
    TaskObjective,
)
from hft_core.recipe.search import Dimension, Search
from hft_core.recipe.trackers import TRACKERS, Tracker
from hft_core.registry import load_registry

PAGE = Path(__file__).parent / "recipe.md"
MARKER = "<!-- from here on written by docs/reference.py -->"
_SECTIONS: dict[type[BaseModel], tuple[str, str]] = {
    Recipe: ("The whole recipe", ""),
    Data: (
        "`data`",
        "Under `data` stand the sources, each by its name (a reader), and perhaps `split`. A recipe with several "
        "tasks has a group of sources under each task's name.",
    ),
    TaskData: ("`data.TASK`", ""),
    Split: ("`data.split`", ""),
    Prepare: ("`prepare`", ""),
    Stage: ("`stages`", "Each entry of the list is one step of training."),
    Plateau: ("`stages.plateau`", ""),
    Evaluate: ("`evaluate`", ""),
    Reporting: ("`report`", ""),
    Search: ("`search`", ""),
    Dimension: ("`search.space`", ""),
    Tracker: (
        "`trackers`",
        f"Each is one of {', '.join(f'`{name}`' for name in TRACKERS)}, with settings or by name alone.",
    ),
    **{cls: (f"`trackers`: `{name}`", "") for name, cls in TRACKERS.items()},
}
_TITLES = {cls: title for cls, (title, _) in _SECTIONS.items()}
_COMMON = set(Component.model_fields)
_BOUNDS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤", "min_length": "length ≥", "max_length": "length ≤"}


def page() -> str:
    """Give the whole page: the hand-written part as it stands, and what is generated."""
    written = PAGE.read_text("utf-8").partition(MARKER)[0]
    return f"{written}{MARKER}\n\n" + "\n".join(_generated())


def _generated() -> Iterator[str]:
    yield "## The keys of a recipe\n"
    for model, (title, words) in _SECTIONS.items():
        yield f"### {title}\n"
        yield (words or _doc(model)) + "\n"
        yield from _table(model, [name for name in model.model_fields if name not in DIRECT])
    yield "### Keys of every component\n"
    yield from _table(Component, list(Component.model_fields))
    yield "## Components\n"
    yield "These come with hft. `hft plugins` lists what is installed, other people's plugins included.\n"
    explained: set[type[BaseModel]] = set()
    for kind, base in KINDS.items():
        yield f"### {kind.capitalize()}s\n"
        yield f"{_offer(kind)}\n"
        shared = [name for name in base.model_fields if name not in _COMMON]
        if shared:
            yield f"Every {kind} has:\n"
            yield from _table(base, shared)
        classes = _own(kind)
        if not classes:
            yield f"hft brings no {kind} of its own yet.\n"
        for name, component in classes.items():
            yield f"#### `{name}`\n"
            yield f"{_doc(component)}\n"
            known = _COMMON | set(shared) | {"type"}
            yield from _table(component, [name for name in component.model_fields if name not in known])
            for settings in _nested(component):
                if settings not in explained:
                    explained.add(settings)
                    yield f"##### `{settings.__name__}`\n"
                    yield f"{_doc(settings)}\n"
                    yield from _table(settings, list(settings.model_fields))


def _own(kind: str) -> dict[str, type[Component]]:
    """The classes of a kind that hft itself brings."""
    registry = load_registry()
    own = {
        name: component
        for name, component in registry.classes(kind).items()
        if registry.plugin_of(component).distribution == "hft-core"
    }
    return {"task": TaskObjective} | own if kind == "objective" else own


def _nested(component: type[BaseModel]) -> list[type[BaseModel]]:
    """Settings inside a component's fields that are no components themselves."""
    found: dict[type[BaseModel], None] = {}
    for field in component.model_fields.values():
        for part in _parts(field.annotation):
            if inspect.isclass(part) and issubclass(part, Settings) and not issubclass(part, Component | Ramp):
                found[part] = None
                found.update(dict.fromkeys(_nested(part)))
    return list(found)


def _parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    for argument in get_args(annotation):
        yield from _parts(argument)


def _table(model: type[Settings], names: Sequence[str]) -> Iterator[str]:
    if not names:
        return
    described = model.descriptions()
    yield "| key | value | default | meaning |"
    yield "|---|---|---|---|"
    for name in names:
        field, meaning = model.model_fields[name], " ".join(described.get(name, "").split())
        cells = (f"`{name}`", _value(field), _default(field, meaning), meaning)
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    yield ""


def _value(field: FieldInfo) -> str:
    bounds = [
        f"{sign} {getattr(item, name)}"
        for item in field.metadata
        for name, sign in _BOUNDS.items()
        if getattr(item, name, None) is not None
    ]
    words = ", ".join([_words(field.annotation), *bounds])
    return words.replace("length ≥ 1, length ≤ 1", "one character").replace("length ≥ 1", "at least one")


def _words(annotation: Any) -> str:
    """Say what a field takes."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        bounds = [f"{_BOUNDS[name]} {value}" for one in arguments[1:] for name, value in _limits(one)]
        return ", ".join([_words(arguments[0]), *bounds])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(_words(argument) for argument in arguments))
    if origin is list:
        return f"list of {_words(arguments[0])}"
    if origin is dict:
        return f"{_words(arguments[1])} by name"
    simple = {
        str: "text",
        int: "whole number",
        float: "number",
        bool: "`true` or `false`",
        Path: "path",
        NoneType: "`null`",
        Any: "any value",
    }
    if annotation in simple:
        return simple[annotation]
    if annotation is Ramp:
        return "`{from: number, to: number}`"
    if annotation in _TITLES:
        return f"[{_TITLES[annotation].replace('`', '')}](#{_anchor(_TITLES[annotation])})"
    if issubclass(annotation, Component):
        return f"[{annotation.kind}](#{annotation.kind}s)"
    return f"[{annotation.__name__}](#{annotation.__name__.lower()})"


def _limits(field: Any) -> Iterator[tuple[str, Any]]:
    """The bounds of an annotated value, as pydantic keeps them."""
    for entry in getattr(field, "metadata", ()):
        for name in _BOUNDS:
            if hasattr(entry, name):
                yield name, getattr(entry, name)


def _anchor(title: str) -> str:
    """The anchor that GitHub gives to a heading."""
    return "".join(c for c in title.lower().replace(" ", "-") if c.isalnum() or c in "-_")


def _default(field: FieldInfo, meaning: str) -> str:
    if field.is_required():
        # Some defaults depend on the kind of stage; their description begins with them.
        return "see meaning" if meaning.startswith("Default") else "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "as below"
    if value is None:
        return "none"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _offer(kind: str) -> str:
    """What a kind is for, in the words of its hook."""
    words = (inspect.getdoc(getattr(hookspecs, f"register_{kind}s")) or "").removeprefix("Offer ")
    words = words.removeprefix(f"{kind}s: ")
    return words[0].upper() + words[1:]


def _doc(cls: type) -> str:
    return inspect.cleandoc(cls.__doc__ or "").replace("``", "`")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
