"""Checks of every component, whatever its kind: what a recipe, a store and other processes need of it."""

from __future__ import annotations

import inspect
import json
import pickle
from functools import lru_cache
from typing import Any, get_args

from pydantic import BaseModel

from hft_core.components import KINDS
from hft_core.registry import Registry
from hft_core.registry.signatures import misfits
from hft_core.testing.subject import Subject, Unchecked, digest


def type_has_no_default(subject: Subject) -> None:
    """`type` is one name, without a default: a recipe always has to say it."""
    field = subject.cls.model_fields["type"]
    assert field.is_required(), "`type` has a default; leave it out"
    assert len(get_args(field.annotation)) == 1, '`type` has to be Literal["one-name"]'


def is_documented(subject: Subject) -> None:
    """The class has a docstring, and so has every field of its own: they are what `hft schema` and editors show."""
    assert (subject.cls.__doc__ or "").strip(), f"{subject.cls.__name__} has no docstring"
    base = KINDS[subject.cls.kind].model_fields
    described = subject.cls.descriptions()
    for name in subject.cls.model_fields:
        if name != "type" and name not in base:
            assert described.get(name, "").strip(), f"the field `{name}` has no docstring: put a string under it"


def fields_are_typed(subject: Subject) -> None:
    """Every field says what it takes: no field is `Any` or `object`."""
    for name, field in subject.cls.model_fields.items():
        assert not _vague(field.annotation), f"the field `{name}` takes anything; say what it is"


def methods_fit_the_contract(subject: Subject) -> None:
    """Each method of the base class that it overrides can be called as the engine calls it."""
    found = misfits(subject.cls)
    assert not found, "; ".join(found)


def settings_survive_json(subject: Subject) -> None:
    """Written as JSON and read again, it is the same component, and its fields cannot be changed."""
    component = subject.make()
    written = component.model_dump_json(by_alias=True, exclude_unset=True)
    again = subject.entry(subject.cls.kind, json.loads(written))
    assert again == component, f"{written} is read as {again!r}, not as {component!r}"
    whole = component.model_dump(mode="json", by_alias=True, exclude={"name", "when"})
    again = subject.entry(subject.cls.kind, whole)  # with all defaults written out, as a bundle has it
    assert again.identity() == component.identity(), f"{whole} is read as {again!r}, not as {component!r}"
    try:
        component.type = "another"
    except Exception:
        return
    raise AssertionError("its fields can be changed; do not override `model_config`")


def unknown_keys_are_errors(subject: Subject) -> None:
    """A key that it does not know is refused."""
    try:
        subject.make(**{"no-such-key": 1})
    except AssertionError:
        return
    raise AssertionError("it takes keys that it does not know; do not override `model_config`")


def has_a_schema(subject: Subject) -> None:
    """Its JSON Schema can be made, also as a part of a recipe's."""
    from hft_core.recipe.narrow import narrowed

    schema = narrowed(subject.registry, subject.cls.kind)[subject.cls.type_name()].model_json_schema()
    json.dumps(schema)
    assert _recipe_schema(subject.registry)


@lru_cache(maxsize=1)
def _recipe_schema(registry: Registry) -> str:
    from hft_core.recipe.narrow import narrow

    return json.dumps(narrow(registry).model_json_schema())


def has_an_identity(subject: Subject) -> None:
    """Its part of the store's keys is plain JSON, the same each time, and another for other settings of its own."""
    component = subject.make()
    try:
        first, second = (json.dumps(subject.make().identity(), sort_keys=True) for _ in range(2))
    except TypeError as error:
        raise AssertionError(f"identity() is not plain JSON: {error}") from None
    assert first == second, "identity() differs from one time to the next"
    assert component.identity().get("type") == subject.cls.type_name(), "identity() has to say its type"


def travels_between_processes(subject: Subject) -> None:
    """It can be pickled, as worker processes need it."""
    component = subject.make()
    if subject.plugin.distribution == "file":
        raise Unchecked("a loose file cannot be imported by another process")
    try:
        again = pickle.loads(pickle.dumps(_plain(subject, component)))
    except Exception as error:
        raise AssertionError(f"it cannot be pickled: {type(error).__name__}: {error}") from None
    assert digest(again.identity()) == digest(component.identity()), "another process would have other settings"


def _plain(subject: Subject, component: BaseModel) -> BaseModel:
    """The component as the plugin's own class, which can be imported; its narrowed subclass lives here only."""
    return subject.cls.model_construct(component.model_fields_set, **dict(component))


def _vague(annotation: Any) -> bool:
    if annotation in (Any, object, inspect.Parameter.empty):
        return True
    return any(_vague(inner) for inner in get_args(annotation) if inner is not ...)


CHECKS = (
    type_has_no_default,
    is_documented,
    fields_are_typed,
    methods_fit_the_contract,
    settings_survive_json,
    unknown_keys_are_errors,
    has_a_schema,
    has_an_identity,
    travels_between_processes,
)
