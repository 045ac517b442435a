"""Which trainings have diverged: noted in the store, so that an arm or a baseline that does is not trained again to learn it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress

from hft_core.pipeline.nodes import Node
from hft_core.store.store import Store

_NOTES = "diverged"
_TRAINED = ("stage", "evaluate")
"""Kinds of nodes whose output may be lost by it: the training itself, and the measuring of what it left."""


def note_divergence(store: Store, key: str, message: str) -> None:
    """Keep why there is no output under a key; a run whose own model it is does not ask, and trains it."""
    file = store.root / _NOTES / f"{key}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"message": message}, ensure_ascii=False), encoding="utf-8")


def divergence(store: Store, key: str) -> str | None:
    """Why there is no output under a key; None where there is one, or where nobody knows."""
    if store.has(key):
        return None
    with suppress(OSError, ValueError, KeyError):
        return str(json.loads((store.root / _NOTES / f"{key}.json").read_text("utf-8"))["message"])
    return None


def first_divergence(store: Store, nodes: Iterable[Node]) -> str | None:
    """What was noted first among nodes."""
    return next((found for node in nodes if (found := divergence(store, node.key))), None)


def spared(nodes: Iterable[Node]) -> frozenset[str]:
    """Of nodes that are not the run's own model, the keys of those whose divergence is noted and does not end the run."""
    return frozenset(node.key for node in nodes if node.kind in _TRAINED)
