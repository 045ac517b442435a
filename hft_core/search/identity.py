"""What the trials of one study have in common: a study is gone on with only where all of it is the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hft_core.pipeline.nodes import Node
from hft_core.pipeline.plan_arms import Arm
from hft_core.recipe.load import LoadedRecipe
from hft_core.recipe.metrics import resolve_metrics
from hft_core.recipe.search import Search
from hft_core.recipe.values import with_values
from hft_core.registry import Registry
from hft_core.registry.record import used
from hft_core.registry.requirements import CORE
from hft_core.store.hashing import digest_json, digest_source

_ELSEWHERE: dict[str, Any] = {"export": [], "trackers": []}
"""Of a recipe, what no trial runs."""


def identity(
    base: LoadedRecipe, settings: Search, metric: str, arms: Sequence[Arm], code: Mapping[str, str]
) -> dict[str, Any]:
    """Gather it, as plain JSON: `key` tells whether it is the same, the rest what differs.

    `arms` are what trials make at the ends of the space, `code` is what `plugin_code` gives of them.
    """
    fixed: dict[str, Any] = {
        "space": {path: dimension.model_dump(mode="json") for path, dimension in settings.space.items()},
        "metric": metric,
        "prune": settings.prune,
        "plugins": dict(code),
    }
    known: dict[str, str] = {}
    content = [_content(node, known) for arm in arms for node in arm.measured]
    neutral = with_values(base, dict.fromkeys(settings.space))
    recipe = {key: neutral[key] for key in base.raw if key not in ("name", *_ELSEWHERE)}
    return {**fixed, "key": digest_json({**fixed, "content": content}), "recipe": recipe}


def plugin_code(recipes: Iterable[LoadedRecipe], registry: Registry) -> dict[str, str]:
    """Hashes of the source of each plugin that these recipes train or measure with, by name, distribution and version.

    hft's own are left out: an update would end every study under way.
    """
    found = {}
    for loaded in recipes:
        recipe = loaded.recipe.model_copy(update=_ELSEWHERE)
        for component in [*used(recipe), *resolve_metrics(recipe, registry)]:
            if component.type_name() not in registry.classes(component.kind):
                continue  # of the engine itself
            plugin = registry.plugin_of(type(component))
            if plugin.source and plugin.distribution != CORE:
                found[plugin.title] = plugin.sha256 or digest_source(plugin.source)
    return dict(sorted(found.items()))


def difference(known: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Say in a few words what two studies of one name differ in."""
    for key, title in (
        ("space", "its space is another"),
        ("metric", "its metric is another"),
        ("prune", "its `prune`"),
    ):
        if known[key] != new[key]:
            return f"{title} ({known[key]!r:.100} there, {new[key]!r:.100} here)"
    if place := next(_places(known["recipe"], new["recipe"], ()), None):
        return f"{'.'.join(place)} is another there"
    there, here = known.get("plugins", {}), new["plugins"]
    if changed := [name for name in {**there, **here} if there.get(name) != here.get(name)]:
        return f"a plugin's code is another: {', '.join(changed)}"
    return "its data, or a default, is another"


def _content(node: Node, known: dict[str, str]) -> str:
    """What a node is made of: settings and data by content, without the code; that of plugins counts by itself."""
    if node.key not in known:
        inputs = [_content(item, known) for item in node.inputs]
        known[node.key] = digest_json({"settings": node.parts["settings"], "inputs": inputs})
    return known[node.key]


def _places(old: Any, new: Any, place: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Where two recipes differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*new, *(key for key in old if key not in new)]:
            yield from _places(old.get(key), new.get(key), (*place, str(key)))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from _places(one, other, (*place, str(index)))
    elif old != new:
        yield place
