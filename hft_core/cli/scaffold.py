"""What `hft new` writes: files of hft_core/templates, with names put in for those of the example."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import as_file, files
from keyword import iskeyword
from pathlib import Path

from hft_core.errors import DiskError, RecipeError

_SUFFIX = ".tmpl"
_PACKAGE = "PACKAGE"
"""A folder of the templates that gets the package's name."""
_OURS = ("core", "plugins")
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def names_of(name: str) -> dict[str, str]:
    """Give what stands for the example's names, for a plugin called `name`. Raises RecipeError for one that cannot serve."""
    if not _NAME.fullmatch(name):
        raise RecipeError(
            f"{name!r} cannot be a plugin's name: take small letters, digits and single hyphens, and begin with a letter, "
            "such as drop-commas"
        )
    word = name.removeprefix("hft-") or name
    if word in _OURS:
        raise RecipeError(
            f"{name!r}: hft_{word} is a package of the engine itself, which yours would hide; choose another"
        )
    return {
        "hft-example": f"hft-{word}",
        "hft_example": f"hft_{word.replace('-', '_')}",
        "example-type": word,
        "ExampleClass": "".join(part.capitalize() for part in word.split("-")),
    }


def write_plugin(folder: Path, names: Mapping[str, str], kind: str, core: str) -> list[Path]:
    """Write a distribution into an empty or new folder; gives its files. Raises DiskError where that cannot be."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DiskError(f"{folder} exists already; choose another name, or another place with --out")
    values = {**names, "KIND": kind, "CORE_VERSION": core}
    written: dict[Path, str] = {}
    with as_file(files("hft_core") / "templates" / "plugin") as root:
        for part in ("common", kind):
            for file in sorted((root / part).rglob(f"*{_SUFFIX}")):
                place = str(file.relative_to(root / part)).replace(_PACKAGE, names["hft_example"]).removesuffix(_SUFFIX)
                written[folder / place] = filled(file.read_text("utf-8"), values)
    _require_free(names["ExampleClass"], written)
    for target, text in written.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    return sorted(written)


def _require_free(name: str, written: Mapping[Path, str]) -> None:
    """Raise RecipeError where a class of this name would be no Python, or hide what the code beside it uses."""
    code = "\n".join(text for file, text in written.items() if file.suffix == ".py")
    imported = re.findall(r"^(?:from \S+ )?import (.+)$", code, re.MULTILINE)
    if iskeyword(name) or name in re.findall(r"\w+", " ".join(imported)):
        raise RecipeError(
            f"the component's class would be called {name}, which Python or its own code needs; choose another"
        )


def recipe_template() -> str:
    """Give the recipe that `hft new recipe` fills in."""
    return (files("hft_core") / "templates" / f"recipe.yaml{_SUFFIX}").read_text("utf-8")


def filled(text: str, values: Mapping[str, str]) -> str:
    """Put values in for words of a template, all in one pass."""
    words = re.compile("|".join(map(re.escape, sorted(values, key=len, reverse=True))))
    return words.sub(lambda match: values[match[0]], text)
