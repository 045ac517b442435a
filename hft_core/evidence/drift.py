"""Drift: how far new rows are from those that a model was trained on, and how far chance alone would put them.

Lengths, tokens that the vocabulary lacks, and the mix of labels. Numpy only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hft_core.runtime.randomness import generator

_DRAWS = 1000
_BEYOND = 0.05
"""Share of the training texts that are longer than their own 95th percentile."""


def drift(
    texts: Sequence[str],
    labels: Sequence[str],
    unknown: float | None,
    trained: Mapping[str, Any],
    seed: int = 0,
) -> dict[str, Any]:
    """Compare new rows with the training ones; plain JSON. What is not known of these is None.

    Args:
        texts: of each new row.
        labels: of each new row, of one with several labels all of them; empty for a task without labels.
        unknown: share of the new rows' tokens that the vocabulary lacks.
        trained: `lengths` (`median` and `p95`, in characters), `unknown` and `labels` (rows by label), as far as known.

    Returns:
        `lengths`: both medians, and the share of new texts `beyond` the 95th percentile of the training ones, with what 95 of
        100 samples as large stay below (`by_chance`). `labels`: the `distance` of the two mixes, half the sum of the
        differences of all shares (total variation, 0 to 1), `by_chance` as before, and the shares. `unknown`: both rates.
    """
    mix = trained.get("labels")
    return {
        "lengths": _lengths(texts, trained.get("lengths"), seed),
        "unknown": {"new": unknown, "trained": trained.get("unknown")} if unknown is not None else None,
        "labels": _labels(labels, mix, seed) if labels and mix else None,
    }


def _lengths(texts: Sequence[str], trained: Mapping[str, float] | None, seed: int) -> dict[str, Any]:
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    found: dict[str, Any] = {"median": float(np.median(lengths)), "p95": float(np.quantile(lengths, 0.95))}
    if not trained:
        return {"new": found, "trained": None, "beyond": None, "by_chance": None}
    drawn = generator(seed, "drift of lengths").binomial(len(texts), _BEYOND, _DRAWS) / len(texts)
    return {
        "new": found,
        "trained": {name: float(trained[name]) for name in ("median", "p95")},
        "beyond": float((lengths > trained["p95"]).mean()),
        "by_chance": float(np.quantile(drawn, 0.95)),
    }


def _labels(labels: Sequence[str], trained: Mapping[str, int], seed: int) -> dict[str, Any]:
    names = list(dict.fromkeys((*trained, *labels)))
    places = {name: place for place, name in enumerate(names)}
    new = np.bincount([places[label] for label in labels], minlength=len(names)) / len(labels)
    old = np.array([trained.get(name, 0) for name in names], np.float64)
    old /= old.sum()
    drawn = generator(seed, "drift of labels").multinomial(len(labels), old, _DRAWS) / len(labels)
    return {
        "distance": float(np.abs(new - old).sum() / 2),
        "by_chance": float(np.quantile(np.abs(drawn - old).sum(axis=1) / 2, 0.95)),
        "new": dict(zip(names, new.tolist(), strict=True)),
        "trained": dict(zip(names, old.tolist(), strict=True)),
    }
