import csv
import random
import subprocess
import sys

import numpy as np
import pytest

from hft_core.evidence import tfidf as features
from hft_core.evidence.baselines import constant, linear_probe, tfidf, tuned_threshold, with_threshold
from hft_core.evidence.tfidf import training_rows


def labelled(labels):
    return [{"label": label} for label in labels]


def facts(labels):
    return {"labels": sorted(set(labels))}


def by_tfidf(texts, labels, new):
    """Labels that TF-IDF gives."""
    return [found["label"] for found in tfidf("label", texts, labelled(labels), facts(labels))(new)]


def accuracy(found, labels):
    return np.mean([one == other for one, other in zip(found, labels, strict=True)])


def test_majority_comes_with_the_shares_of_all_labels():
    half = {"label": "b", "score": 2 / 3, "scores": {"a": 1 / 3, "b": 2 / 3}}
    assert constant("label", labelled(["a", "b", "b"]), facts("ab"), 2) == [half, half]
    assert constant("label", labelled(["b", "a"]), facts("ab"), 1)[0]["label"] == "a"


def test_most_frequent_set():
    truths = [{"labels": ["甲"]}, {"labels": []}, {"labels": ["甲", "乙"]}, {"labels": []}]
    [found] = constant("labels", truths, {"labels": ["甲", "乙"]}, 1)
    assert found == {"labels": [], "scores": {"甲": 0.5, "乙": 0.25}}


def test_mean():
    assert constant("number", [{"score": 1.0}, {"score": 4.0}], {}, 2) == [{"score": 2.5}] * 2


def test_tfidf_reads_words_of_spaced_text():
    texts = ["a good film", "not a good film", "a bad film", "a film , not bad"] * 5
    labels = ["pos", "neg", "neg", "pos"] * 5
    assert by_tfidf(texts, labels, ["a good film", "not bad"]) == ["pos", "pos"]


def test_tfidf_reads_characters_of_chinese():
    texts = ["味道很好", "菜太咸了", "送餐很快味道好", "太慢了菜也冷"] * 5
    labels = ["好评", "差评"] * 10
    assert by_tfidf(texts, labels, ["很好很快", "又咸又慢"]) == ["好评", "差评"]


def test_predictions_hold_what_those_of_the_task_do():
    texts, labels = ["good", "bad", "fine", "sad"] * 5, ["pos", "neg"] * 10
    [found] = tfidf("label", texts, labelled(labels), {"labels": ["neg", "never", "pos"]})(["good"])
    assert found["label"] == "pos"
    assert found["score"] == found["scores"]["pos"] > 0.5
    assert found["scores"]["never"] == 0
    assert sum(found["scores"].values()) == pytest.approx(1)


def test_one_against_the_rest_gives_any_number_of_labels():
    texts = ["太咸 太慢", "太咸", "太慢", "很好"] * 10
    truths = [{"labels": labels} for labels in (["味道", "速度"], ["味道"], ["速度"], [])] * 10
    predict = tfidf("labels", texts, truths, {"labels": ["味道", "环境", "速度"]})
    assert [found["labels"] for found in predict(["太咸 太慢", "太咸", "很好"])] == [["味道", "速度"], ["味道"], []]
    assert predict(["太咸"])[0]["scores"]["环境"] == 0  # nobody has it


def test_a_threshold_is_tuned_for_all_labels_together():
    scores = [{"scores": {"a": a, "b": b}} for a, b in ((0.4, 0.1), (0.3, 0.35), (0.1, 0.2))]
    truths = [{"labels": ["a"]}, {"labels": ["a", "b"]}, {"labels": []}]
    threshold = tuned_threshold(scores, truths)
    assert threshold == pytest.approx(0.25)
    assert [found["labels"] for found in with_threshold(scores, threshold)] == [["a"], ["a", "b"], []]


def test_ridge_finds_a_number():
    texts = [f"{'great ' * count}film" for count in range(6)] * 5
    truths = [{"score": float(count)} for count in range(6)] * 5
    low, high = tfidf("number", texts, truths, {})(["film", "great great great great film"])
    assert low["score"] < 1 < 3 < high["score"]


def test_tfidf_on_real_reviews_beats_the_majority(data_dir):
    with (data_dir / "waimai_10k" / "waimai_10k.csv").open(encoding="utf-8-sig") as file:
        rows = [(row["review"], row["label"]) for row in csv.DictReader(file)]
    random.Random(0).shuffle(rows)
    train, test = rows[:2500], rows[-1000:]
    texts, labels = zip(*train, strict=True)
    truths = [label for _, label in test]
    [most] = constant("label", labelled(labels), facts(labels), 1)
    assert accuracy([most["label"]] * len(test), truths) < 0.75
    assert accuracy(by_tfidf(texts, labels, [text for text, _ in test]), truths) > 0.83


def test_tfidf_without_words_or_a_second_class_is_the_majority():
    assert by_tfidf(["", "", ""], ["a", "a", "b"], ["x"]) == ["a"]
    assert by_tfidf(["x", "y"], ["a", "a"], ["z"]) == ["a"]
    assert by_tfidf(["x", "y"], ["a", "b"], []) == []


def test_linear_probe_finds_a_direction_at_any_scale():
    draws = np.random.default_rng(0)
    vectors = draws.normal(size=(600, 16)).astype(np.float32) * np.logspace(-3, 3, 16, dtype=np.float32)
    vectors[:, 3] = 1.0  # a constant column has no scale
    labels = ["yes" if row[0] > 0 else "no" for row in vectors]
    predictions = linear_probe("label", vectors[:400], labelled(labels[:400]), facts(labels))(vectors[400:])
    assert accuracy([found["label"] for found in predictions], labels[400:]) > 0.93
    assert type(predictions[0]["label"]) is str
    numbers = linear_probe("number", vectors[:400], [{"score": float(row[0])} for row in vectors[:400]], {})
    found = [one["score"] for one in numbers(vectors[400:])]
    assert np.corrcoef(found, vectors[400:, 0])[0, 1] > 0.9


def test_work_is_capped_deterministically(monkeypatch):
    monkeypatch.setattr(features, "MAX_ROWS", 50)
    rows = training_rows(1000)
    assert len(rows) == 50
    assert len(set(rows)) == 50
    assert np.array_equal(rows, training_rows(1000))
    assert np.all(np.diff(rows) > 0)
    assert np.array_equal(training_rows(50), np.arange(50))
    texts = [f"word{i % 2} filler" for i in range(1000)]
    labels = [str(i % 2) for i in range(1000)]
    assert by_tfidf(texts, labels, ["word1"]) == ["1"]


def test_importing_evidence_does_not_load_scikit_learn():
    code = "import sys, hft_core.evidence.baselines, hft_core.evidence.intervals; print('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


def test_predictions_are_a_function_of_the_data():
    draws = np.random.default_rng(1)
    vectors = draws.normal(size=(200, 8))
    labels = [str(label) for label in draws.integers(3, size=200)]
    first, again = (linear_probe("label", vectors, labelled(labels), facts(labels))(vectors) for _ in range(2))
    assert first == again


def test_a_metric_that_a_baseline_cannot_answer_is_left_out(tmp_path):
    """Figures of the others keep their places: each metric's statistics are found by its number."""
    from hft_core.evidence import evaluation
    from hft_plugins.metrics.classification import Accuracy
    from hft_plugins.metrics.numbers import MeanAbsoluteError

    metrics = [Accuracy(type="accuracy"), MeanAbsoluteError(type="mae")]
    truths = [{"label": "3", "score": 3.0}, {"label": "4", "score": 4.0}]
    found = constant("number", truths, {"labels": ["3", "4"]}, 2)
    evaluation.save(tmp_path, "test", metrics, found, truths, None, {"labels": ["3", "4"]})
    figures = evaluation.figures([tmp_path], "test", metrics, {"labels": ["3", "4"]}, seed=0)
    assert set(figures) == {"mae"}
    assert figures["mae"]["value"] == 0.5


def test_errors_of_numbers_are_those_farthest_off(tmp_path):
    import json

    from hft_core.evidence import evaluation

    truths, found = ([{"score": value} for value in values] for values in ([1.0, 2.0, 3.0], [1.5, 2.0, 0.0]))
    evaluation.save(tmp_path, "test", [], found, truths, ["半", "right", "far"], {})
    errors = json.loads((tmp_path / "test.json").read_text("utf-8"))["errors"]
    assert [(row["text"], row["truth"], row["predicted"], row["score"]) for row in errors] == [
        ("far", "3", "0", None),
        ("半", "1", "1.5", None),
    ]
