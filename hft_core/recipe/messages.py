"""Turns validation errors into sentences: which line, what was given, what exists, the nearest name."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from hft_core.recipe.model import DIRECT, Data, TaskObjective
from hft_core.recipe.narrow import _OneOf
from hft_core.recipe.trackers import OneTracker
from hft_core.recipe.yaml import Location, place_of
from hft_core.registry import Registry

_UNIONS = (_OneOf, OneTracker)
_SETTINGS = "settings like {key: value}"
_FORMS = {
    "string_type": "a text",
    "path_type": "a path",
    "list_type": "a list",
    "model_type": _SETTINGS,
    "model_attributes_type": _SETTINGS,
    "dict_type": _SETTINGS,
    "float_type": "a number",
    "float_parsing": "a number",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "finite_number": "a finite number",
}
"""What a value of the wrong form should have been, by pydantic's error type."""
_LIMITS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}
"""Where a limit stands in the context of pydantic's error, and what it says."""


def messages(
    error: ValidationError, raw: Any, lines: dict[Location, int], model: type[BaseModel], registry: Registry
) -> list[str]:
    """Give one sentence per mistake, each beginning with its place."""
    items = [(item, *_walk(item["loc"], raw, model)) for item in _worth_telling(error)]
    forms: dict[Location, dict[str, None]] = defaultdict(dict)  # a field may take several
    for item, location, _ in items:
        if form := _FORMS.get(item["type"]):
            forms[location][form] = None
    meant = {
        (*location[:-1], near)
        for item, location, models in items
        if item["type"] == "extra_forbidden" and (near := _near(location[-1], _fields(models)))
    }
    result = []
    for item, location, models in items:
        if item["type"] == "missing" and location in meant:
            continue  # it is there, misspelt, which is said once
        if item["type"] in _FORMS:
            sentence = f"expected {' or '.join(forms[location])}, found {_shown(item['input'])}{_as_type(item, models)}"
        else:
            sentence = _sentence(item, location, models, registry)
        result.append(f"{place_of(location, lines) or 'recipe'}: {sentence}")
    return list(dict.fromkeys(result))


def _worth_telling(error: ValidationError) -> Iterator[Any]:
    """Drop, for a field that takes several forms, complaints about forms that the value does not have."""
    items = error.errors()
    for item in items:
        wrong_form = item["type"] in _FORMS
        parent = item["loc"][:-1]
        siblings = [other for other in items if other is not item and other["loc"][: len(parent)] == parent]
        if wrong_form and parent and any(len(other["loc"]) > len(item["loc"]) for other in siblings):
            continue
        yield item


def _walk(loc: tuple[Any, ...], raw: Any, model: type[BaseModel]) -> tuple[Location, list[Any]]:
    """Follow an error's location through the recipe; gives the written path and the annotations met on it.

    Locations name, besides keys, the branches of unions and inner field names, which the recipe does not have.
    """
    path: list[str | int] = []
    current, annotation = raw, model
    seen: list[Any] = [model]
    for position, step in enumerate(loc):
        branch = _is_branch(annotation, step, current)
        annotation = _step(annotation, step)
        seen.append(annotation)
        if branch:  # a component may have a field of the same name as its type
            continue
        inside = (isinstance(current, dict) and step in current) or (
            isinstance(current, list) and isinstance(step, int) and step < len(current)
        )
        if inside:
            current = current[step]
            path.append(step)
        elif position == len(loc) - 1 and isinstance(step, str) and isinstance(current, dict):
            path.append(step)  # a missing key
    return tuple(path), seen


def _is_branch(annotation: Any, step: Any, value: Any) -> bool:
    """Whether a step of a location names the type of the component that `value` describes."""
    tags = isinstance(value, dict) and value.get("type") == step
    return tags and any(isinstance(part, _UNIONS) and step in part.choices for part in _parts(annotation))


def _step(annotation: Any, step: Any) -> Any:
    """The annotation behind one step of a location: a union's branch by its tag or class name, or a field."""
    parts = list(_parts(annotation))
    models = [part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)]
    for part in parts:
        if isinstance(part, _UNIONS) and step in part.choices:
            return part.choices[step]
    for model in models:
        if model.__name__ == step:
            return model
    for model in models:
        for name, field in model.model_fields.items():
            if step in (name, field.alias):
                return _with_metadata(field)
    return annotation


def _with_metadata(field: Any) -> Any:
    return (field.annotation, *field.metadata)


def _parts(annotation: Any) -> Iterator[Any]:
    """An annotation, what it is made of, and its metadata."""
    if isinstance(annotation, tuple):
        for item in annotation:
            yield from _parts(item)
        return
    yield annotation
    for argument in get_args(annotation):
        yield from _parts(argument)
    yield from getattr(annotation, "__metadata__", ())


def _shown(value: Any) -> str:
    given = repr(value)
    return given if len(given) < 60 else given[:57] + "…"


def _near(given: Any, known: list[str]) -> str | None:
    near = get_close_matches(str(given), known, n=1, cutoff=0.5)
    return near[0] if near else None


def _nearest(given: Any, known: list[str]) -> str:
    near = _near(given, known)
    return f"; did you mean {near!r}?" if near else "."


def _as_type(item: Any, models: list[Any]) -> str:
    """How a component is written of which only the type is given."""
    named = isinstance(item["input"], str) and _FORMS[item["type"]] == _SETTINGS
    known = [part.choices for part in _parts(models[-1]) if isinstance(part, _OneOf)]
    return f"; write {{type: {item['input']}}}" if named and any(item["input"] in choices for choices in known) else ""


def _sentence(item: Any, location: Location, models: list[Any], registry: Registry) -> str:
    kind = item["type"]
    given = _shown(item["input"])
    if kind == "extra_forbidden":
        known = _fields(models)
        plain = any(part is TaskObjective for model in models for part in _parts(model))
        rule = (
            " `task` is the task's objective as it is; to change its settings, write that one's type." if plain else ""
        )
        return f"unknown key {location[-1]!r}{_nearest(location[-1], known)} Known here: {', '.join(known)}.{rule}"
    if kind == "missing":
        return f"{location[-1]!r} is missing"
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        one_of = next(part for model in reversed(models) for part in _parts(model) if isinstance(part, _OneOf))
        if kind == "union_tag_not_found":
            if not isinstance(item["input"], dict):
                return f"a {one_of.kind} is written as {{type: …}}, found {given}"
            return f"'type' is missing; a {one_of.kind} is one of {', '.join(one_of.choices)}"
        tag = item["ctx"]["tag"]
        if tag in one_of.choices:
            return str(item["msg"])
        return registry.explain_missing(one_of.kind, tag, one_of.choices)
    if kind == "literal_error":
        expected = item["ctx"]["expected"]
        choices = re.findall(r"'([^']*)'", expected)
        return f"expected {expected}, found {given}{_nearest(item['input'], choices)}"
    if kind == "string_pattern_mismatch":
        pattern = item["ctx"]["pattern"]
        if pattern == re.escape(literal := pattern.replace("\\", "")):
            return f"{given} lacks {literal}"
        rule = "; a name has letters, digits, '-' and '_'" if location[-1] == "name" else ""
        return f"{given} does not match {pattern}{rule}"
    if kind in _LIMITS:
        key, words = _LIMITS[kind]
        return f"expected {words} {item['ctx'][key]:g}, found {given}"
    if kind == "too_short":
        least = item["ctx"]["min_length"]
        return f"expected at least {least} {'entry' if least == 1 else 'entries'}, found {given}"
    if kind == "value_error":
        return str(item["ctx"]["error"])
    return f"{item['msg']} (found {given})"


def _fields(models: list[Any]) -> list[str]:
    """The keys that the innermost settings on the way accept."""
    for model in reversed(models):
        for part in _parts(model):
            if isinstance(part, type) and issubclass(part, BaseModel):
                names = [field.alias or name for name, field in part.model_fields.items()]
                return names if part.__name__ != Data.__name__ else [name for name in names if name not in DIRECT]
    return []
