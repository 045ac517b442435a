"""What a bundle may import: a bundle is data from anywhere, and names modules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from hft_core.errors import PluginError

OWN_PACKAGES = frozenset({"hft_core", "hft_plugins"})


def modules_of(settings: Any) -> Iterator[str]:
    """Give the modules that a preprocessor's settings name: those of its parts, each ``{"module": …, "settings": …}``."""
    if isinstance(settings, Mapping):
        if isinstance(settings.get("module"), str):
            yield settings["module"]
        settings = list(settings.values())
    if isinstance(settings, list):
        for value in settings:
            yield from modules_of(value)


def trusted_module(name: str, requires: Mapping[str, str], folder: Path) -> ModuleType:
    """Import a module that a bundle names: one of hft's, or of an installed hft plugin that the bundle requires.

    A bundle is data from anywhere; it must not be able to import whatever lies on the path.
    """
    package = name.partition(".")[0]
    if package not in OWN_PACKAGES:
        _check_plugin(package, name, requires, folder)
    try:
        return import_module(name)
    except ImportError as error:
        raise PluginError(
            f"{folder} needs the module {name}, which cannot be imported ({error}); install "
            f"{_listed(requires) or 'the hft-core version of the bundle'}"
        ) from error


def _check_plugin(package: str, name: str, requires: Mapping[str, str], folder: Path) -> None:
    """Raise PluginError unless `package` is offered, through an entry point, by a distribution in `requires`."""
    from importlib.metadata import entry_points  # slow, and only foreign modules need it

    wanted = {_normalised(distribution) for distribution in requires}
    for entry in entry_points(group="hft"):
        if entry.module.partition(".")[0] == package and entry.dist and _normalised(entry.dist.name) in wanted:
            return
    raise PluginError(
        f"{folder} names the module {name}, which belongs to no installed hft plugin that the bundle requires "
        f"({_listed(requires) or 'it requires none'}); install it, if you trust where the bundle comes from"
    )


def check_installed(requires: Mapping[str, str], folder: Path) -> None:
    """Raise PluginError for a distribution that the bundle needs and that is not installed."""
    if not requires:
        return
    from importlib.metadata import PackageNotFoundError, version

    for name, wanted in requires.items():
        try:
            version(name)
        except PackageNotFoundError:
            raise PluginError(f"{folder} needs {name}, which is missing; run: pip install {name}=={wanted}") from None


def differing(requires: Mapping[str, str]) -> list[str]:
    """Say which distributions that a bundle needs are installed in another version than it was exported with."""
    if not requires:
        return []
    from importlib.metadata import version

    return [
        f"{name} {version(name)} instead of {wanted}" for name, wanted in requires.items() if version(name) != wanted
    ]


def _normalised(distribution: str) -> str:
    return distribution.lower().replace("_", "-").replace(".", "-")


def _listed(requires: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in requires.items())
