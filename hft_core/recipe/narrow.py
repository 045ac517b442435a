"""Fits the recipe's static model to what is installed.

Wherever a field is typed with a base class (`Task`, `list[Cleaner]`, …), the narrowed model accepts
exactly the installed classes of that kind, told apart by `type`; components with component fields are
narrowed too. One model thus validates, gives the JSON Schema and the documentation.
"""

from __future__ import annotations

from functools import lru_cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, create_model
from pydantic_core import CoreSchema, core_schema

from hft_core.components import KINDS, Component
from hft_core.recipe.model import Recipe, TaskObjective
from hft_core.registry import Registry

_BASES = {base: kind for kind, base in KINDS.items()}
_Offered = tuple[tuple[str, tuple[tuple[str, type[Component]], ...]], ...]
"""What an installation offers: kinds, their types, and the classes of these."""


class _OneOf:
    """Annotation: exactly one of the classes of a kind, by `type`. The classes are filled in before schemas are built."""

    def __init__(self, kind: str):
        self.kind = kind
        self.choices: dict[str, type[BaseModel]] = {}

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        choices: dict[Any, CoreSchema] = {name: handler.generate_schema(model) for name, model in self.choices.items()}
        if not choices:  # no plugin offers this kind; any use of it is an error that names the kind
            choices = {"": core_schema.none_schema()}
        return core_schema.tagged_union_schema(choices, discriminator="type", metadata={"kind": self.kind})


def narrow(registry: Registry) -> type[Recipe]:
    """Give the Recipe model of an installation."""
    return _recipe(_offered(registry))


def narrowed(registry: Registry, kind: str) -> dict[str, type[BaseModel]]:
    """Give the classes of a kind by type, as entries of a recipe are made of: with their component fields narrowed."""
    return _entries(_offered(registry), kind)


def _offered(registry: Registry) -> _Offered:
    return tuple((kind, tuple(registry.classes(kind).items())) for kind in KINDS)


@lru_cache(maxsize=4)
def _recipe(offered: _Offered) -> type[Recipe]:
    narrowing = _Narrowing(offered)
    recipe = narrowing.model(Recipe)
    narrowing.fill()
    recipe.model_rebuild(force=True)
    assert issubclass(recipe, Recipe)
    return recipe


@lru_cache(maxsize=4)
def _entries(offered: _Offered, kind: str) -> dict[str, type[BaseModel]]:
    narrowing = _Narrowing(offered)
    narrowing.fill()
    classes = narrowing.kinds[kind].choices
    for model in classes.values():
        model.model_rebuild(force=True)
    return classes


class _Narrowing:
    def __init__(self, offered: _Offered):
        self._offered = offered
        self.kinds = {kind: _OneOf(kind) for kind in KINDS}
        self._models: dict[type[BaseModel], type[BaseModel]] = {}

    def fill(self) -> None:
        """Say what each kind's fields accept, once the fields that need it are known."""
        for kind, offered in self._offered:
            classes: dict[str, type[BaseModel]] = dict(offered)
            if kind == TaskObjective.kind:
                classes["task"] = TaskObjective
            self.kinds[kind].choices = {name: self.model(model) for name, model in classes.items()}

    def model(self, model: type[BaseModel]) -> type[BaseModel]:
        """Give the narrowed subclass of a model, or the model itself where it has no component field."""
        if model in self._models:
            return self._models[model]
        self._models[model] = model  # ends recursion of models that contain themselves
        changed: dict[str, Any] = {}
        for name, field in model.model_fields.items():
            annotation = self._annotation(field.annotation)
            if annotation is not field.annotation:
                changed[name] = (annotation, field)
        if changed:
            # Schemas are built at the end, when all choices are known.
            deferred = type(
                model.__name__, (model,), {"model_config": ConfigDict(defer_build=True), **_identity(model)}
            )
            self._models[model] = create_model(
                model.__name__, __base__=deferred, __doc__=model.__doc__, __module__=model.__module__, **changed
            )
        return self._models[model]

    def _annotation(self, annotation: Any) -> Any:
        if isinstance(annotation, type) and not get_args(annotation):
            if annotation in _BASES:
                return Annotated[annotation, self.kinds[_BASES[annotation]]]
            if issubclass(annotation, BaseModel) and not issubclass(annotation, Component):
                return self.model(annotation)
            return annotation
        arguments = get_args(annotation)
        narrowed = tuple(self._annotation(argument) for argument in arguments)
        if all(new is old for new, old in zip(narrowed, arguments, strict=True)):
            return annotation
        origin = get_origin(annotation)
        return Union[narrowed] if origin in (Union, UnionType) else origin[narrowed]  # noqa: UP007  # built at run time


def _identity(model: type[BaseModel]) -> dict[str, Any]:
    return {"__module__": model.__module__, "__doc__": model.__doc__}
