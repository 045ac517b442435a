"""Samples of the metrics: cases that were worked out by hand."""

from __future__ import annotations

from math import exp

from hft_core.testing import Case, Sample

_LABELS = {"labels": ["neg", "pos"]}
_FOUND = [{"label": label, "score": 0.9} for label in ("pos", "pos", "neg", "neg", "pos")]
_TRUE = [{"label": label} for label in ("pos", "neg", "neg", "pos", "pos")]
"""pos: 2 right, 1 too many, 1 missed; neg: 1 right, 1 too many, 1 missed."""


def _classes(expected: dict[str, float], **settings: object) -> Case:
    return Case(_FOUND, _TRUE, expected, _LABELS, settings)


def _of_classes(name: str) -> Sample:
    """Precision, recall and F1 of this case are alike: 2/3 for pos, 1/2 for neg."""
    return Sample(
        cases=[
            _classes({name: 3 / 5}, average="micro"),
            _classes({name: (2 / 3 + 1 / 2) / 2, f"{name}[pos]": 2 / 3, f"{name}[neg]": 1 / 2}, average="macro"),
            _classes({name: (3 * 2 / 3 + 2 * 1 / 2) / 5}, average="weighted"),
            _classes({name: 1 / 2}, average="binary", positive="neg"),
        ]
    )


_ENTITIES = Case(
    predictions=[
        {"entities": [{"start": 0, "end": 5, "type": "per"}, {"start": 8, "end": 10, "type": "loc"}]},
        {"entities": [{"start": 0, "end": 2, "type": "loc"}]},
        {"entities": []},
    ],
    truths=[
        {"entities": [{"start": 0, "end": 5, "type": "per"}]},  # one right, one too many
        {"entities": [{"start": 0, "end": 3, "type": "loc"}]},  # another end: one too many, one missed
        {"entities": []},
    ],
    expected={"entity-f1": 2 * 1 / (2 * 1 + 2 + 1)},
    facts={"types": ["loc", "per"], "labels": ["loc", "per"]},
)
_SETS = Case(
    predictions=[
        {"labels": ["a", "b"], "scores": {"a": 0.9, "b": 0.8, "c": 0.1}},
        {"labels": ["c"], "scores": {"a": 0.4, "b": 0.1, "c": 0.7}},
        {"labels": [], "scores": {"a": 0.3, "b": 0.2, "c": 0.1}},
    ],
    truths=[{"labels": ["a"]}, {"labels": ["c"]}, {"labels": ["b"]}],
    expected={},
    facts={"labels": ["a", "b", "c"]},
)


def _sets(**settings_and_expected: object) -> Case:
    expected = settings_and_expected.pop("expected")
    assert isinstance(expected, dict)
    return Case(_SETS.predictions, _SETS.truths, expected, _SETS.facts, settings_and_expected)


_NUMBERS = [1.0, 2.0, 3.0, 5.0]
_WANTED = [1.0, 3.0, 3.0, 4.0]


def _numbers(expected: dict[str, float]) -> Sample:
    found, true = ([{"score": value} for value in values] for values in (_NUMBERS, _WANTED))
    return Sample(cases=[Case(found, true, expected)])


def _texts(expected: dict[str, float], written: list[str], wanted: list[str], **settings: object) -> Case:
    return Case([{"text": text} for text in written], [{"text": text} for text in wanted], expected, {}, settings)


_MEAN_TRUE = 11 / 4
_R2 = 1 - 2 / sum((value - _MEAN_TRUE) ** 2 for value in _WANTED)
_PEARSON = 5.75 / (8.75 * 4.75) ** 0.5

SAMPLES = {
    "accuracy": Sample(cases=[_classes({"accuracy": 3 / 5})]),
    "precision": _of_classes("precision"),
    "recall": _of_classes("recall"),
    "f1": _of_classes("f1"),
    "confusion": Sample(cases=[_classes({"confusion": 2 / 5, "confusion[pos→neg]": 1, "confusion[neg→neg]": 1})]),
    "entity-f1": Sample(cases=[_ENTITIES]),
    "multi-label-precision": Sample(cases=[_sets(average="micro", expected={"multi-label-precision": 2 / 3})]),
    "multi-label-recall": Sample(cases=[_sets(average="micro", expected={"multi-label-recall": 2 / 3})]),
    "multi-label-f1": Sample(cases=[_sets(average="micro", expected={"multi-label-f1": 2 / 3})]),
    "subset-accuracy": Sample(cases=[_sets(expected={"subset-accuracy": 1 / 3})]),
    "label-ranking": Sample(cases=[_sets(expected={"label-ranking": (1 + 1 + 1 / 2) / 3})]),
    "mse": _numbers({"mse": 2 / 4}),
    "mae": _numbers({"mae": 2 / 4}),
    "r2": _numbers({"r2": _R2}),
    "pearson": _numbers({"pearson": _PEARSON}),
    "spearman": _numbers({"spearman": 4.5 / (5 * 4.5) ** 0.5}),  # ranks 1 2 3 4 and 1 2.5 2.5 4
    "perplexity": Sample(
        cases=[Case([{"nll": 2.0, "tokens": 1}, {"nll": 4.0, "tokens": 9}], [{}, {}], {"perplexity": exp(0.6)})]
    ),
    "exact-match": Sample(
        cases=[_texts({"exact-match": 2 / 3}, ["好", " yes ", "no"], ["好", "yes", "yes"])],
    ),
    "chrf": Sample(
        cases=[
            _texts({"chrf": 1.0}, ["hello   world", "今天的菜很好吃"], ["hello world", "今天的菜很好吃"]),
            _texts({"chrf": 0.0}, ["x"], ["y"]),
        ]
    ),
    "bleu": Sample(cases=[_texts({"bleu": 1.0}, ["the cat sat on the mat"] * 2, ["the cat sat on the mat"] * 2)]),
    "rouge": Sample(cases=[_texts({}, ["the cat sat", "猫坐着"], ["the cat sat", "猫坐着"])]),
}
