"""What multi-label classification does at predict time: plain functions of settings, facts and arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hft_plugins.text_classification.runtime import encode

__all__ = ["decode", "encode", "probabilities"]


def probabilities(outputs: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> NDArray[np.float64]:
    """Give the sigmoid of logits, [rows, labels] each, at the temperature that the facts have; 1 where they have none."""
    logits = np.asarray(outputs["logits"], np.float64) / facts.get("temperature", 1.0)
    result: NDArray[np.float64] = np.exp(-np.logaddexp(0, -logits))
    return result


def decode(
    settings: Mapping[str, Any],
    columns: Any,
    arrays: Any,
    outputs: Mapping[str, NDArray[Any]],
    facts: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Give the labels whose probability reaches their threshold, and the probabilities of all, from logits [rows, labels].

    There may be none. `margin` says how near the nearest probability is to its label's threshold.
    """
    labels = facts["labels"]
    odds = probabilities(outputs, facts)
    above = odds - np.array(facts["thresholds"], np.float64)
    return [
        {
            "labels": [label for label, said in zip(labels, chosen, strict=True) if said],
            "scores": dict(zip(labels, row, strict=True)),
            "margin": margin,
        }
        for chosen, row, margin in zip(
            (above >= 0).tolist(), odds.tolist(), np.abs(above).min(axis=1).tolist(), strict=True
        )
    ]
