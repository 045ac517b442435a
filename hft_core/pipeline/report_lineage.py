"""What a report says of where a model comes from: its data by their hashes, the weights it started from, the runs before."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from hft_core.recipe.model import Recipe
from hft_core.recipe.sources import readers_of, title_of
from hft_core.store.hashing import digest_json

_MOST_RUNS = 20


def sources(recipe: Recipe) -> list[dict[str, Any]]:
    """Each data source with its name on the hub, if it has one, and the hashes of its files, or of what else it is."""
    readers = {
        title_of(recipe, task, split): reader
        for task in recipe.all_tasks
        for split, reader in readers_of(recipe, task).items()
    }
    readers |= {name: reader for name, reader in recipe.data.sources.items() if name not in readers}
    found = []
    for name, reader in readers.items():
        identity = reader.identity()
        files = list(dict.fromkeys(_contents(identity)))
        found.append(
            {
                "name": name,
                "type": reader.type_name(),
                "hub": reader.hub_name(),
                "files": files,
                "digest": digest_json(identity),
            }
        )
    return found


def lineage(recipe: Recipe) -> list[dict[str, Any]]:
    """What the model started from, the nearest first: of earlier runs their own start, too."""
    found: list[dict[str, Any]] = [
        {
            "what": recipe.model.describe(),
            "hub": recipe.model.hub_name(),
            "digest": digest_json(recipe.model.identity()),
        }
    ]
    run = recipe.model.earlier_run()
    if run is not None:
        with suppress(OSError, ValueError):
            before = json.loads((run / "report.json").read_text("utf-8"))
            found[0] |= {key: before[key] for key in ("name", "created", "hft") if key in before}
            found += before.get("lineage", [])
    return found[:_MOST_RUNS]


def ablation(run: Path, recipe: Mapping[str, Any]) -> dict[str, Any] | None:
    """What `hft ablate` has found of the same recipe, where its file lies beside the run's folder."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        file = run.with_name(f"{recipe['name']}.ablation.json")
        content: dict[str, Any] = json.loads(file.read_text("utf-8"))
        if content["recipe"] == recipe_digest(recipe):
            return content
    return None


def recipe_digest(raw: Mapping[str, Any]) -> str:
    """What a recipe is recognised by beside what was made of it: all of it but its name."""
    return digest_json({key: value for key, value in json.loads(json.dumps(raw)).items() if key != "name"})


def _contents(value: Any) -> Iterator[str]:
    """The hashes of files in an identity: of each the first 32 digits of its SHA-256."""
    if isinstance(value, Mapping):
        if value.keys() == {"content", "suffixes"}:
            yield str(value["content"])
            return
        for item in value.values():
            yield from _contents(item)
    elif isinstance(value, list):
        for item in value:
            yield from _contents(item)
