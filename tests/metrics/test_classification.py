import numpy as np
import pytest
from pydantic import ValidationError
from sklearn import metrics as sk

from hft_core.errors import RecipeError
from hft_plugins.metrics.classification import F1, Accuracy, ClassMetric, Confusion, Precision, Recall

SKLEARN = {Precision: sk.precision_score, Recall: sk.recall_score, F1: sk.f1_score}
FACTS = {"labels": ["差评", "好评"]}


def predictions(labels):
    return [{"label": label, "score": 0.5} for label in labels]


def random_case(seed):
    """Some classes are missing in the truths, some in the predictions, some in both."""
    random = np.random.default_rng(seed)
    labels = [f"c{i}" for i in range(random.integers(2, 9))]
    rows = int(random.integers(1, 40))
    seen = random.choice(labels, random.integers(1, len(labels) + 1), replace=False)
    true = list(random.choice(seen, rows))
    predicted = [t if random.random() < 0.5 else str(random.choice(labels)) for t in true]
    return labels, [str(t) for t in true], [str(p) for p in predicted]


@pytest.mark.parametrize("seed", range(200))
def test_figures_are_those_of_scikit_learn(seed):
    labels, true, predicted = random_case(seed)
    facts = {"labels": labels}
    data = predictions(predicted), predictions(true), facts

    accuracy = Accuracy(type="accuracy").measure(*data)
    assert accuracy == {"accuracy": pytest.approx(sk.accuracy_score(true, predicted), abs=1e-12)}

    for component, reference in SKLEARN.items():
        name = component.type_name()
        for average in ("micro", "macro", "weighted"):
            value = component(type=name, average=average).measure(*data)
            assert next(iter(value)) == name
            assert value[name] == pytest.approx(
                reference(true, predicted, average=average, zero_division=0), abs=1e-12
            ), average
        per_class = reference(true, predicted, labels=labels, average=None, zero_division=0)
        assert [value[f"{name}[{label}]"] for label in labels] == pytest.approx(list(per_class), abs=1e-12)
        binary = component(type=name, average="binary", positive=labels[-1]).measure(*data)
        assert binary[name] == pytest.approx(per_class[-1], abs=1e-12)

    confusion = Confusion(type="confusion").measure(*data)
    matrix = sk.confusion_matrix(true, predicted, labels=labels)
    assert list(confusion.values())[1:] == matrix.reshape(-1).tolist()
    assert confusion["confusion"] == pytest.approx(1 - sk.accuracy_score(true, predicted), abs=1e-12)


def test_statistics_add_up_over_batches():
    labels, true, predicted = random_case(3)
    facts = {"labels": labels}
    metric = F1(type="f1")
    whole = metric.rows(predictions(predicted), predictions(true), facts)
    parts = [
        metric.rows(predictions(predicted[part]), predictions(true[part]), facts).sum(axis=0)
        for part in (slice(0, 5), slice(5, None))
    ]
    assert whole.dtype == np.float64
    assert whole.shape == (len(true), 3 * len(labels))
    assert np.array_equal(whole.sum(axis=0), sum(parts))


@pytest.mark.parametrize("metric", [Precision, Recall, F1])
def test_a_label_outside_the_list_counts_as_wrong(metric):
    true, predicted = ["好评", "好评", "差评"], ["好评", "whatever", "差评"]
    data = predictions(predicted), predictions(true), FACTS
    reference = SKLEARN[metric](true, predicted, labels=FACTS["labels"], average="micro", zero_division=0)
    assert metric(type=metric.type_name(), average="micro").measure(*data)[metric.type_name()] == pytest.approx(
        reference
    )
    assert Accuracy(type="accuracy").measure(*data)["accuracy"] == pytest.approx(2 / 3)
    confusion = Confusion(type="confusion").measure(*data)
    assert confusion["confusion"] == pytest.approx(1 / 3)
    assert confusion["confusion[好评→好评]"] == 1


def test_two_unknown_labels_do_not_match_each_other():
    data = predictions(["x"]), predictions(["x"]), FACTS
    assert Accuracy(type="accuracy").measure(*data)["accuracy"] == 0
    assert F1(type="f1").measure(*data)["f1"] == 0
    assert Confusion(type="confusion").measure(*data)["confusion"] == 1


def test_binary_means_the_second_of_two_labels_by_default():
    data = predictions(["好评", "好评", "差评"]), predictions(["好评", "差评", "差评"]), FACTS
    assert Precision(type="precision", average="binary").measure(*data)["precision"] == 0.5


@pytest.mark.parametrize(("positive", "labels"), [("neutral", ["a", "b"]), (None, ["a", "b", "c"])])
def test_binary_without_a_class_is_an_error_that_names_the_classes(positive, labels):
    metric = F1(type="f1", average="binary", positive=positive)
    with pytest.raises(RecipeError, match="one of a, b"):
        metric.measure(predictions(["a"]), predictions(["a"]), {"labels": labels})


def test_positive_without_binary_is_refused():
    with pytest.raises(ValidationError, match="average: binary"):
        F1(type="f1", positive="好评")


def test_every_class_metric_documents_its_fields():
    assert {"average", "positive"} <= ClassMetric.descriptions().keys()


@pytest.mark.parametrize(("count", "figures"), [(20, 401), (21, 1)])
def test_cells_are_given_for_up_to_20_labels(count, figures):
    labels = [f"c{i}" for i in range(count)]
    data = predictions(labels), predictions(labels[1:] + labels[-1:]), {"labels": labels}
    found = Confusion(type="confusion").measure(*data)
    assert len(found) == figures
    assert found["confusion"] == pytest.approx((count - 1) / count)
