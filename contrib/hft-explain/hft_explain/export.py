"""Explains a few validation rows: what is predicted of them, and what each token counts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hft_core import Arrays, Columns, Finished, Net, PluginError, Prediction, Section
from hft_core.runtime.cleaning import clean, restored
from hft_core.runtime.driver import predict
from hft_core.runtime.ragged import take
from hft_explain.attribution import Attribution, Subject, integrated_gradients, occlusion
from hft_explain.places import Piece, Text, pieces
from hft_explain.section import section
from hft_explain.targets import Target, targets

if TYPE_CHECKING:
    from hft_explain.plugin import Explain

FILE = "attributions.jsonl"
_SPARE = 4
"""Rows that are looked at for each one that is wanted: of some nothing may be predicted."""
_STEPS = 50


@dataclass(frozen=True)
class Row:
    """One validation row as the model reads it."""

    number: int
    """In the validation split, from 0."""
    texts: list[Text]
    prediction: Prediction
    """Its places are those of the cleaned text, as in `arrays`."""
    truth: Prediction
    arrays: Arrays
    """Its entries."""
    outputs: Arrays
    """Those of the net for them."""


@dataclass(frozen=True)
class Explanation:
    """What one prediction rests on."""

    row: Row
    target: Target
    pieces: list[Piece]
    """Characters of the texts, in order."""
    values: list[float]
    """What each piece counts."""
    found: Attribution

    def record(self, texts: bool = True) -> dict[str, Any]:
        """Give it as one line of the file; without `texts` nothing that stands in the data."""
        trail, originals = self.row.texts[0].trail, [text.trail.original for text in self.row.texts]
        whole = {
            "texts": {text.column: text.trail.original for text in self.row.texts},
            "prediction": restored(self.row.prediction, trail),
            "truth": restored(self.row.truth, trail),
        }
        return {
            "row": self.row.number,
            **(whole if texts else {}),
            "explained": self.target.said(texts),
            "score": self.found.score,
            "without": self.found.baseline,
            "error": self.found.error,
            "tokens": [
                {
                    "column": self.row.texts[piece.text].column,
                    "start": piece.start,
                    "end": piece.end,
                    **({"text": originals[piece.text][piece.start : piece.end]} if texts else {}),
                    "attribution": value,
                }
                for piece, value in zip(self.pieces, self.values, strict=True)
            ],
        }


def export(settings: Explain, net: Net, run: Finished, folder: Path, log: Callable[[str], None]) -> Section:
    """See `Explain.export`."""
    with _evaluating(net):
        found = explanations(settings, net, run)
    with (folder / FILE).open("w", encoding="utf-8", newline="\n") as stream:
        for explanation in found:
            stream.write(json.dumps(explanation.record(run.texts), ensure_ascii=False) + "\n")
    log(f"{len(found)} predictions explained by {settings.method}")
    return section(settings, run, found, baseline_name(settings, run))


def explanations(settings: Explain, net: Net, run: Finished) -> list[Explanation]:
    """Explain as many rows as there are to be, in the order of the rows. The net has to be in evaluation mode.

    Raises PluginError for a model that does not read texts, and see `Explain.export`.
    """
    if not hasattr(run.preprocessor, "windows"):
        raise PluginError(
            "explain: this model does not read texts only, so its inputs have no tokens to explain by; remove this export"
        )
    attribute = _method(settings, run)
    made: list[list[Explanation]] = []
    for row in _rows(run, settings.rows):
        found = []
        for target in targets(run, row.prediction, row.arrays, row.outputs, settings.most):
            where = pieces(row.arrays, target.entry, row.texts, run.preprocessor)  # type: ignore[arg-type]  # texts are encoded
            if not where:
                continue
            inputs = run.preprocessor.pad(take(row.arrays, np.array([target.entry])))
            own = np.zeros(inputs["input_ids"].shape[1], bool)
            own[[token for piece in where for token in piece.tokens]] = True
            inputs.pop("row", None)
            result = attribute(Subject(net, run.head, inputs, target.score, own))
            values = [float(result.tokens[list(piece.tokens)].sum()) for piece in where]
            found.append(Explanation(row, target, where, values, result))
        if found:
            made.append(found)
        if len(made) == settings.rows:
            break
    return [one for found in sorted(made, key=lambda found: found[0].row.number) for one in found]


def evenly(total: int, count: int) -> list[int]:
    """Give `count` of the numbers below `total`, evenly spaced; all of them where there are no more."""
    return [(2 * index + 1) * total // (2 * count) for index in range(count)] if count < total else list(range(total))


def baseline_name(settings: Explain, run: Finished) -> str:
    """Give what stands for a token that is not there, in the words of the setting."""
    if settings.baseline is not None:
        return settings.baseline
    return "mask" if "mask" in run.preprocessor.settings().get("special", {}) else "padding"


def _method(settings: Explain, run: Finished) -> Callable[[Subject], Attribution]:
    """Raises PluginError for a baseline that the tokenizer does not have."""
    name, known = baseline_name(settings, run), run.preprocessor.settings()
    tokens = {"mask": known.get("special", {}).get("mask"), "padding": known.get("pad_id"), "zero": None}
    token: int | None = tokens[name]
    if token is None and name != "zero":
        raise PluginError(f"the model's preprocessor has no {name} token; set `baseline:` to another one")
    if settings.method == "integrated-gradients":
        return lambda subject: integrated_gradients(subject, token, settings.steps or _STEPS)
    assert token is not None  # a recipe with `zero` is refused
    return lambda subject: occlusion(subject, token, settings.window or 1)


def _rows(run: Finished, wanted: int) -> Iterator[Row]:
    """Yield evenly spaced rows, then those between them."""
    total = len(next(iter(run.validation.values()), []))
    first = evenly(total, wanted)
    spare = [number for number in evenly(total, wanted * _SPARE) if number not in set(first)]
    for numbers in (first, spare):
        if numbers:
            yield from _predicted(run, numbers)


def _predicted(run: Finished, numbers: list[int]) -> Iterator[Row]:
    """Predict rows of the validation split as a user's bundle would."""
    columns: Columns = {name: [values[number] for number in numbers] for name, values in run.validation.items()}
    steps: list[Any] = [(_Live(cleaner), {}) for cleaner in run.cleaners]
    names = [name for name in run.task.roles().text if name in columns]
    cleaned = {name: clean(columns[name], steps) for name in names}
    columns |= {name: texts for name, (texts, _) in cleaned.items()}
    outcome = predict(run.task, columns, run.preprocessor, run.facts, run.call)
    truths = run.task.truths(columns, run.facts)
    for index, number in enumerate(numbers):
        entries = np.flatnonzero(np.asarray(outcome.arrays["row"]) == index)
        texts = [Text(name, cleaned[name][0][index], cleaned[name][1][index]) for name in names]
        own, outputs = take(outcome.arrays, entries), take(outcome.outputs, entries)
        yield Row(number, texts, outcome.predictions[index], truths[index], own, outputs)


@dataclass(frozen=True)
class _Live:
    """A cleaner of the recipe in the form of its module at predict time."""

    cleaner: Any

    def edits(self, settings: Any, texts: list[str]) -> Any:
        """Give the edits of each text."""
        return self.cleaner.edits(texts)


@contextmanager
def _evaluating(net: Net) -> Iterator[None]:
    """The net is in evaluation mode, as it predicts, while in this context."""
    training = net.training
    net.eval()
    try:
        yield
    finally:
        net.train(training)
