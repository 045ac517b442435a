"""Metric of entities: stretches of a text, each of a type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from hft_core import Facts, Metric, Prediction
from hft_plugins.metrics.classification import divided


class EntityF1(Metric):
    """Entity F1: the harmonic mean of precision and recall of entities, right where start, end and type are.

    The mean is over all entities at once (micro); `entity-f1[TYPE]` is that of one type. Equals seqeval's in its strict
    mode, on whole texts.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"entities"})

    type: Literal["entity-f1"]

    def rows(
        self, predictions: Sequence[Prediction], truths: Sequence[Prediction], facts: Facts
    ) -> NDArray[np.float64]:
        """Give hits, predicted and true entities of each type in ``facts["types"]``, float64 [rows, 3 · types]."""
        position = {name: index for index, name in enumerate(facts["types"])}
        statistics = np.zeros((len(truths), 3, len(position)), np.float64)
        for row, (prediction, truth) in enumerate(zip(predictions, truths, strict=True)):
            predicted, true = _entities(prediction), _entities(truth)
            for which, entities in enumerate((predicted & true, predicted, true)):
                for _, _, name in entities:
                    statistics[row, which, position[name]] += 1
        return statistics.reshape(len(truths), -1)

    def value(self, statistics: NDArray[np.float64], facts: Facts) -> dict[str, float]:
        """Give the F1 of all as ``entity-f1``, then that of each type; 0 where nothing is predicted and nothing true."""
        hits, predicted, true = statistics.reshape(3, -1)
        headline = divided(2 * hits.sum(keepdims=True), (predicted + true).sum(keepdims=True))[0]
        scores = divided(2 * hits, predicted + true)
        per_type = {f"entity-f1[{name}]": float(score) for name, score in zip(facts["types"], scores, strict=True)}
        return {"entity-f1": float(headline), **per_type}


def _entities(item: Prediction) -> set[tuple[int, int, str]]:
    return {(entity["start"], entity["end"], entity["type"]) for entity in item["entities"]}
