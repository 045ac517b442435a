"""Judges of variants: what predicts the label of a text before and after an augmenter has changed it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hft_core.components import Columns, Training
from hft_core.data.augmentation import Judge
from hft_core.data.survey import joined_texts
from hft_core.data.table import ROW
from hft_core.evidence.baselines import tfidf
from hft_core.runtime.randomness import RowRandom, key_of


def tfidf_judge(training: Training) -> Judge:
    """Give two regressions on TF-IDF, each trained on one half of the labelled rows; a row is judged by the other half's.

    Where a half lacks a second class, every label stays.
    """
    assert training.label is not None
    texts: list[str] = []
    labels: list[str] = []
    halves: list[int] = []
    for batch in training.rows():
        texts += joined_texts(batch, training.roles, "\n")
        labels += map(str, batch[training.label])
        halves += _halves(batch)
    models = [
        _labelling(
            [text for text, half in zip(texts, halves, strict=True) if half == wanted],
            [label for label, half in zip(labels, halves, strict=True) if half == wanted],
        )
        for wanted in (0, 1)
    ]

    def judge(batch: Columns) -> list[str]:
        found = [""] * len(batch[ROW])
        own_halves, own_texts = _halves(batch), joined_texts(batch, training.roles, "\n")
        for half, model in enumerate(models):
            rows = [row for row, own in enumerate(own_halves) if own != half]
            if rows and model is not None:
                for row, label in zip(rows, model([own_texts[row] for row in rows]), strict=True):
                    found[row] = label
        return found

    return judge


def bundle_judge(folder: Path) -> Judge:
    """Give the predictions of a bundle. Raises what loading it raises."""
    from hft_core.runtime import load

    bundle: Any = load(folder)
    return lambda batch: [str(prediction["label"]) for prediction in bundle.predict_columns(batch)]


def _labelling(texts: Sequence[str], labels: Sequence[str]) -> Callable[[Sequence[str]], list[str]] | None:
    """Give what labels texts; None where there are not two labels to tell apart."""
    known = sorted(set(labels))
    if len(known) < 2:
        return None
    predict = tfidf("label", texts, [{"label": label} for label in labels], {"labels": known})
    return lambda new: [prediction["label"] for prediction in predict(new)]


def _halves(batch: Columns) -> list[int]:
    draws = RowRandom(key_of("judge"), np.array(batch[ROW], np.int64)).uniform(1)[:, 0]
    halves: list[int] = (draws < 0.5).astype(int).tolist()
    return halves
