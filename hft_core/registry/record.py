"""Which plugins a run was made with: written into runs and bundles, and compared with what is installed later."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from hft_core.components import Component
from hft_core.registry.registry import FILE, Plugin, Registry
from hft_core.registry.requirements import CORE, unmet

Record = dict[str, Any]
"""A plugin as it is written down: name, distribution, version; of a file also its path and SHA-256; and what was used of it."""


def used(settings: BaseModel) -> list[Component]:
    """Give every component in a recipe, at any depth."""
    return [inner for value in _parts(settings) for inner in value.nested()]


def record(registry: Registry, components: Iterable[Component]) -> list[Record]:
    """Write down every plugin that is loaded, and which of these components come from it."""
    of: dict[int, set[str]] = {}
    for component in components:
        if any(component.type_name() == name for name in registry.classes(component.kind)):
            plugin = registry.plugin_of(type(component))
            of.setdefault(id(plugin), set()).add(f"{component.kind} {component.type_name()}")
    return [_record(plugin, sorted(of.get(id(plugin), ()))) for plugin in registry.plugins if not plugin.problem]


def used_plugins(registry: Registry, recipe: BaseModel) -> list[Record]:
    """Write down the plugins of which a recipe uses something, without the places of files: for what leaves this machine."""
    entries = record(registry, used(recipe))
    return [{key: value for key, value in entry.items() if key != "file"} for entry in entries if entry["used"]]


def differences(recorded: Sequence[Record], registry: Registry, requires: Iterable[str] = ()) -> list[str]:
    """Say of the plugins of which something was used, hft's own left out, what is missing here or is another version.

    A version that `requires` names and is met is meant, and no difference.
    """
    meant = {text for text in requires if not unmet([text])}
    found = []
    for entry in recorded:
        if not entry.get("used") or entry["distribution"] == CORE:
            continue
        here = [plugin for plugin in registry.plugins if _same(plugin, entry)]
        if said := _difference(entry, here[0] if here else None, meant):
            found.append(said)
    return found


def _record(plugin: Plugin, components: list[str]) -> Record:
    entry: Record = {"name": plugin.name, "distribution": plugin.distribution, "version": plugin.version}
    if plugin.distribution == FILE:
        entry |= {"file": str(plugin.source), "sha256": plugin.sha256}
    return entry | {"used": components}


def _same(plugin: Plugin, entry: Mapping[str, Any]) -> bool:
    return (plugin.name, plugin.distribution) == (entry["name"], entry["distribution"])


def _difference(entry: Mapping[str, Any], plugin: Plugin | None, meant: set[str]) -> str:
    title = (
        f"plugin {entry['name']} ({entry['distribution']} {entry['version']}), which gives {', '.join(entry['used'])}"
    )
    file = entry["distribution"] == FILE
    if plugin is None:
        todo = (
            f"give --plugin {entry['file']}"
            if file
            else f"run: pip install {entry['distribution']}=={entry['version']}"
        )
        return f"{title}, is missing; {todo}"
    if plugin.problem:
        return f"{title}, is not loaded: {plugin.problem}"
    if plugin.version == entry["version"] or any(_names(text, entry["distribution"]) for text in meant):
        return ""
    if file:
        return f"{title}, is another one now: {plugin.source} has changed"
    return (
        f"{title}, is here as {plugin.version}; run: pip install {entry['distribution']}=={entry['version']}, or say in the "
        f"recipe that this one is meant: requires: ['{entry['distribution']}=={plugin.version}']"
    )


def _names(requirement: str, distribution: str) -> bool:
    from hft_core.registry.requirements import parsed

    return parsed(requirement).name.lower().replace("_", "-") == distribution.lower().replace("_", "-")


def _parts(value: Any) -> list[Component]:
    if isinstance(value, Component):
        return [value]
    if isinstance(value, BaseModel):
        return [part for name in type(value).model_fields for part in _parts(getattr(value, name))]
    if isinstance(value, Mapping):
        value = list(value.values())
    return [part for item in value for part in _parts(item)] if isinstance(value, (list, tuple)) else []
