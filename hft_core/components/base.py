"""Component: one entry of a recipe, as one frozen pydantic class."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, ValidationInfo, field_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from hft_core.components.docstrings import field_docstrings
from hft_core.store.hashing import digest_path

NAME = r"^\w[\w\-]{0,80}$"
"""What an entry may be called: names end up in file names and in the names of torch modules."""


def resolve_path(path: Path | str, folder: Path | None) -> Path:
    """Give the absolute form of a path that a recipe names.

    A path may begin with ``${NAME}``, which the environment gives; a relative one starts at `folder`
    (the recipe's), or at the working folder where there is none. Raises ValueError for an unset name or no path.
    """
    text = str(path)
    if not text:
        raise ValueError("the path is empty; name a file or a folder")
    if match := re.match(r"\$\{(\w+)\}", text):
        if match[1] not in os.environ:
            raise ValueError(f"the environment variable {match[1]} is not set; set it, or write the path out")
        text = os.environ[match[1]] + text[match.end() :]
    return (folder or Path.cwd()).joinpath(Path(text).expanduser()).absolute()


class Settings(BaseModel):
    """Base of everything a recipe can say: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True)

    @classmethod
    def descriptions(cls) -> dict[str, str]:
        """What the fields mean, by name: the strings under them; those that have none are left out."""
        given = {name: field.description for name, field in cls.model_fields.items() if field.description}
        return {name: text for name, text in field_docstrings(cls).items() if name in cls.model_fields} | given

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Add the descriptions, which pydantic's fields lack; a field that shows itself in no schema has no place for one."""
        described = handler(schema)
        properties = handler.resolve_ref_schema(described).get("properties", {})
        for name, text in cls.descriptions().items():
            if (key := cls.model_fields[name].alias or name) in properties:
                properties[key]["description"] = text
        return described

    @field_validator("*", mode="before")
    @classmethod
    def _no_surprising_conversion(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse what pydantic takes and no user means: `lr: true` for 1, and an empty path for the working folder."""
        types = _types(cls.model_fields[str(info.field_name)].annotation)
        if isinstance(value, bool) and not types & {bool, Any, object}:
            raise ValueError(f"found {str(value).lower()}, but this is no switch; give its value")
        if value == "" and Path in types:
            raise ValueError("the path is empty; name a file or a folder")
        return value

    @field_validator("*", mode="after")
    @classmethod
    def _paths_start_beside_the_recipe(cls, value: Any, info: ValidationInfo) -> Any:
        """Every `Path` field is a file that is read: made absolute here, and hashed by content in the store's keys."""
        if isinstance(value, Path):
            return resolve_path(value, (info.context or {}).get("folder"))
        if isinstance(value, list) and any(isinstance(item, Path) for item in value):
            return [resolve_path(item, (info.context or {}).get("folder")) for item in value]
        return value


class Component(Settings):
    """Base of all components: fields are recipe settings, methods do the work with live objects.

    A concrete component declares ``type: Literal["its-name"]`` without a default. (With a default,
    a recipe that leaves ``type`` out would be accepted until a second plugin is installed.)
    """

    kind: ClassVar[str]
    """The kind's word in recipes and error messages, set by the base class of the kind."""
    packages: ClassVar[tuple[str, ...]] = ()
    """Distributions that it computes with, besides those that the engine counts: another version of one is another result."""

    name: str | None = Field(default=None, pattern=NAME)
    """A name of your choice for this entry, used in logs and reports."""
    when: Literal["helps"] | None = None
    """`helps`: keep this entry only if evidence says that it helps."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        field = cls.model_fields.get("type")
        if field is None:
            return  # an intermediate base class
        if get_origin(field.annotation) is not Literal or len(get_args(field.annotation)) != 1:
            raise TypeError(f'{cls.__qualname__}: declare `type: Literal["one-name"]`, found {field.annotation!r}')
        if not field.is_required():
            raise TypeError(f"{cls.__qualname__}: `type` must not have a default; the recipe has to name it")

    def identity(self) -> dict[str, Any]:
        """Give what this entry contributes to the keys of the store: its settings, files by content, never by path."""
        return {
            name: _identity(getattr(self, name)) for name in type(self).model_fields if name not in ("name", "when")
        }

    def nested(self) -> Iterator[Component]:
        """Yield this component, then those in its fields, at any depth."""
        yield self
        for name in type(self).model_fields:
            yield from _components(getattr(self, name))

    @classmethod
    def type_name(cls) -> str:
        """The word that a recipe's `type` uses for this class."""
        return str(get_args(cls.model_fields["type"].annotation)[0])

    @property
    def title(self) -> str:
        """What logs, messages and reports call this entry: its `name`, else its type."""
        return self.name or self.type_name()

    @classmethod
    def summary(cls) -> str:
        """The first line of the class's docstring."""
        return (inspect.getdoc(cls) or "").partition("\n")[0]


def _components(value: Any) -> Iterator[Component]:
    if isinstance(value, Component):
        yield from value.nested()
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _components(getattr(value, name))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _components(item)
    elif isinstance(value, dict):
        yield from _components(list(value.values()))


def _types(annotation: Any) -> set[Any]:
    """The plain types that an annotation is made of."""
    inner = get_args(annotation)
    return set().union(*map(_types, inner)) if inner else {annotation}


def _identity(value: Any) -> Any:
    """Plain JSON of a setting."""
    if isinstance(value, Component):
        return value.identity()
    if isinstance(value, BaseModel):
        return {name: _identity(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, Path):
        return {"content": digest_path(value), "suffixes": value.suffixes}  # a reader may go by the ending
    if isinstance(value, (set, frozenset)):
        return sorted(map(_identity, value))  # the order of a set differs from process to process
    if isinstance(value, (list, tuple)):
        return [_identity(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _identity(item) for key, item in value.items()}
    if value is None or isinstance(value, (str, int, float)):
        return value
    raise TypeError(f"a setting of type {type(value).__name__} has no place in a key: {value!r}")
