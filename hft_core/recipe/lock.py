"""`recipe.lock`: the versions of everything that a recipe's result depends on here, to be held to elsewhere."""

from __future__ import annotations

import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hft_core.errors import PluginError, RecipeError
from hft_core.recipe.load import LoadedRecipe
from hft_core.registry import Registry
from hft_core.registry.record import used, used_plugins
from hft_core.registry.registry import FILE

FORMAT = 1
PACKAGES = (
    "numpy", "tokenizers", "onnxruntime", "torch", "transformers", "accelerate", "datasets", "pyarrow", "safetensors",
    "scikit-learn", "scipy", "onnx", "onnxscript",
)  # fmt: skip
"""What the engine computes with; each is part of the keys of some step."""


def lock_file(recipe: Path) -> Path:
    """Give the place of a recipe's lock: `recipe.lock` beside `recipe.yaml`."""
    return recipe.with_suffix(".lock")


def contents(loaded: LoadedRecipe, registry: Registry) -> dict[str, Any]:
    """Give what a lock holds: Python, packages, and the plugins that the recipe uses, files with their SHA-256."""
    components = used(loaded.recipe)
    plugins = used_plugins(registry, loaded.recipe)
    names = {*PACKAGES, *(package for component in components for package in component.packages)}
    names |= {entry["distribution"] for entry in plugins if entry["distribution"] != FILE}
    return {
        "format": FORMAT,
        "python": platform.python_version(),
        "packages": {name: found for name in sorted(names) if (found := _version(name))},
        "plugins": plugins,
    }


def require_locked(recipe: Path, loaded: LoadedRecipe, registry: Registry) -> None:
    """Raise PluginError, naming each difference, unless everything is as the recipe's lock says."""
    file = lock_file(recipe)
    try:
        locked = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise RecipeError(f"--locked: there is no {file}; run: hft lock {recipe}") from None
    except ValueError as error:
        raise RecipeError(f"--locked: {file} is damaged: {error}; run: hft lock {recipe}") from None
    if not isinstance(locked, dict) or "format" not in locked:
        raise RecipeError(f"--locked: {file} is no lock; run: hft lock {recipe}")
    if locked["format"] != FORMAT:
        raise RecipeError(f"--locked: {file} has format {locked['format']}, this hft-core reads {FORMAT}")
    here = contents(loaded, registry)
    found = [*_packages(locked, here), *_plugins(locked, here)]
    if locked["python"].rpartition(".")[0] != here["python"].rpartition(".")[0]:
        found.insert(0, f"Python {locked['python']} is locked, this is {here['python']}")
    if found:
        again = [
            f"{name}=={version}"
            for name, version in locked["packages"].items()
            if here["packages"].get(name) != version
        ]
        hint = [f"run: pip install {' '.join(again)}"] if again else []
        last = f"or, if it is meant to be so: hft lock {recipe}"
        raise PluginError("\n".join(f"--locked: {line}" for line in [*found, *hint, last]))


def _packages(locked: dict[str, Any], here: dict[str, Any]) -> list[str]:
    names = dict.fromkeys([*locked["packages"], *here["packages"]])
    both = [(name, locked["packages"].get(name), here["packages"].get(name)) for name in names]
    return [f"{name} {_said(old)} is locked, {_said(new)} is here" for name, old, new in both if old != new]


def _plugins(locked: dict[str, Any], here: dict[str, Any]) -> list[str]:
    """Files, which no package stands for."""
    old, new = ({e["name"]: e["sha256"] for e in side["plugins"] if "sha256" in e} for side in (locked, here))
    return [
        f"the plugin file {name} is {'another one' if name in new else 'not there'}, its SHA-256 is locked as {digest[:12]}…"
        for name, digest in old.items()
        if new.get(name) != digest
    ] + [f"the plugin file {name} is not in the lock" for name in new if name not in old]


def _said(found: str | None) -> str:
    return found or "(none)"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
