"""What `hft plugins show` tells of a component."""

from __future__ import annotations

import inspect
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import click

from hft_core.components import KINDS, Component
from hft_core.errors import PluginError
from hft_core.registry import Plugin, Registry

Described = list[dict[str, Any]]


def described(registry: Registry, name: str) -> Described:
    """Describe the components of a plugin, of a distribution, or of one type. Raises PluginError where there are none."""
    plugins = [plugin for plugin in registry.plugins if name in (plugin.name, plugin.distribution)]
    found = [_component(component, plugin) for plugin in plugins for component in plugin.components]
    found += [
        _component(component, plugin)
        for plugin in registry.plugins
        for component in plugin.components
        if name == component.type_name() and plugin not in plugins
    ]
    if not found:
        broken = [plugin for plugin in plugins if plugin.problem]
        if broken:
            raise PluginError("\n".join(f"plugin {plugin.title} is not loaded: {plugin.problem}" for plugin in broken))
        raise PluginError(registry_names(registry, name))
    return found


def registry_names(registry: Registry, name: str) -> str:
    """Say that nothing has this name, and what is near."""
    from difflib import get_close_matches

    types = {component.type_name() for plugin in registry.plugins for component in plugin.components}
    known = sorted({plugin.name for plugin in registry.plugins} | types)
    near = get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return f"there is no plugin and no component {name!r}{hint} Plugins: {', '.join(p.name for p in registry.plugins)}"


def tell(components: Described) -> None:
    """Print descriptions for a person."""
    for index, component in enumerate(components):
        if index:
            click.echo()
        click.echo(f"{click.style(component['type'], bold=True)}  {component['kind']} of {component['plugin']}")
        click.echo(f"    {component['file']}")
        for line in component["doc"].splitlines():
            click.echo(f"    {line}".rstrip())
        for field in component["fields"]:
            default = "required" if field["required"] else f"default {field['default']}"
            click.echo(f"    {click.style(field['name'], bold=True)}: {field['value']}, {default}")
            for line in field["doc"].splitlines():
                click.echo(f"        {line}".rstrip())


def _component(component: type[Component], plugin: Plugin) -> dict[str, Any]:
    return {
        "kind": component.kind,
        "type": component.type_name(),
        "plugin": plugin.title,
        "file": _place(component),
        "doc": inspect.cleandoc(component.__doc__ or ""),
        "fields": [_field(component, name) for name in _own_first(component) if name != "type"],
    }


def _place(component: type[Component]) -> str:
    try:
        return f"{inspect.getsourcefile(component)}:{inspect.getsourcelines(component)[1]}"
    except (OSError, TypeError):
        return component.__module__


def _own_first(component: type[Component]) -> list[str]:
    """A class's own fields, then those of its kind, then those of every component."""
    shared = [name for name in KINDS[component.kind].model_fields if name not in Component.model_fields]
    own = [name for name in component.model_fields if name not in (*shared, *Component.model_fields)]
    return [*own, *shared, *Component.model_fields]


def _field(component: type[Component], name: str) -> dict[str, Any]:
    field = component.model_fields[name]
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    annotation = field.annotation
    bounds = "".join(f", {_bound(item)}" for item in field.metadata if _bound(item))
    return {
        "name": field.alias or name,
        "value": _type(annotation) + bounds,
        "required": field.is_required(),
        "default": default if default is None or isinstance(default, (str, int, float, bool, list)) else str(default),
        "doc": component.descriptions().get(name, ""),
    }


def _type(annotation: Any) -> str:
    """An annotation as one would write it today, without the modules of its classes."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(inner[0])
    if origin in (Union, UnionType):
        return " | ".join(_type(part) for part in inner)
    if origin is Literal:
        return " | ".join(map(repr, inner))
    if origin is not None:
        return f"{origin.__name__}[{', '.join(_type(part) for part in inner)}]"
    if annotation is type(None):
        return "None"
    return annotation.__name__ if isinstance(annotation, type) else "…" if annotation is ... else str(annotation)


def _bound(item: Any) -> str:
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤", "min_length": "length ≥", "max_length": "length ≤"}
    return ", ".join(
        f"{sign} {getattr(item, name)}" for name, sign in signs.items() if getattr(item, name, None) is not None
    )
