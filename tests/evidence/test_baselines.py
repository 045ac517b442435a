import csv
import random
import subprocess
import sys

import numpy as np

from hft_core.evidence import baselines
from hft_core.evidence.baselines import linear_probe, majority, tfidf, training_rows


def accuracy(predictions, labels):
    return np.mean([prediction["label"] == label for prediction, label in zip(predictions, labels, strict=True)])


def test_majority():
    assert majority(["a", "b", "b"], 2) == [{"label": "b"}, {"label": "b"}]
    assert majority(["b", "a"], 1) == [{"label": "a"}]


def test_tfidf_reads_words_of_spaced_text():
    texts = ["a good film", "not a good film", "a bad film", "a film , not bad"] * 5
    labels = ["pos", "neg", "neg", "pos"] * 5
    assert [p["label"] for p in tfidf(texts, labels, ["a good film", "not bad"])] == ["pos", "pos"]


def test_tfidf_reads_characters_of_chinese():
    texts = ["味道很好", "菜太咸了", "送餐很快味道好", "太慢了菜也冷"] * 5
    labels = ["好评", "差评"] * 10
    assert tfidf(texts, labels, ["很好很快", "又咸又慢"]) == [{"label": "好评"}, {"label": "差评"}]


def test_tfidf_on_real_reviews_beats_the_majority(data_dir):
    with (data_dir / "waimai_10k" / "waimai_10k.csv").open(encoding="utf-8-sig") as file:
        rows = [(row["review"], row["label"]) for row in csv.DictReader(file)]
    random.Random(0).shuffle(rows)
    train, test = rows[:2500], rows[-1000:]
    texts, labels = zip(*train, strict=True)
    truths = [label for _, label in test]
    assert accuracy(majority(labels, len(test)), truths) < 0.75
    assert accuracy(tfidf(texts, labels, [text for text, _ in test]), truths) > 0.83


def test_tfidf_without_words_or_a_second_class_is_the_majority():
    assert tfidf(["", "", ""], ["a", "a", "b"], ["x"]) == [{"label": "a"}]
    assert tfidf(["x", "y"], ["a", "a"], ["z"]) == [{"label": "a"}]
    assert tfidf(["x", "y"], ["a", "b"], []) == []


def test_linear_probe_finds_a_direction_at_any_scale():
    draws = np.random.default_rng(0)
    vectors = draws.normal(size=(600, 16)).astype(np.float32) * np.logspace(-3, 3, 16, dtype=np.float32)
    vectors[:, 3] = 1.0  # a constant column has no scale
    labels = ["yes" if row[0] > 0 else "no" for row in vectors]
    predictions = linear_probe(vectors[:400], labels[:400], vectors[400:])
    assert accuracy(predictions, labels[400:]) > 0.93
    assert type(predictions[0]["label"]) is str


def test_work_is_capped_deterministically(monkeypatch):
    monkeypatch.setattr(baselines, "MAX_ROWS", 50)
    rows = training_rows(1000)
    assert len(rows) == 50
    assert len(set(rows)) == 50
    assert np.array_equal(rows, training_rows(1000))
    assert np.all(np.diff(rows) > 0)
    assert np.array_equal(training_rows(50), np.arange(50))
    texts = [f"word{i % 2} filler" for i in range(1000)]
    labels = [str(i % 2) for i in range(1000)]
    assert tfidf(texts, labels, ["word1"]) == [{"label": "1"}]


def test_importing_evidence_does_not_load_scikit_learn():
    code = "import sys, hft_core.evidence.baselines, hft_core.evidence.intervals; print('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


def test_predictions_are_a_function_of_the_data():
    draws = np.random.default_rng(1)
    vectors = draws.normal(size=(200, 8))
    labels = [str(label) for label in draws.integers(3, size=200)]
    first = linear_probe(vectors, labels, vectors)
    assert linear_probe(vectors, labels, vectors) == first
