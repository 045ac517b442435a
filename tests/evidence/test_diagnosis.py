"""What a diagnosis says of hand-made histories, and of real runs with planted faults."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import hft_core
from hft_core.evidence.diagnosis import Finding, ObjectiveSeen, Seen, StageSeen, TaskSeen, diagnose
from hft_core.evidence.diagnosis.rows import lower_bound
from hft_core.evidence.label_noise import surest
from hft_core.recipe import load_recipe
from hft_core.registry import load_registry
from tests.seen import history, stage, task, validated


def found(stages: StageSeen | None = None, tasks: TaskSeen | None = None) -> list[Finding]:
    """The diagnosis of one stage and one task."""
    return diagnose(Seen([stages or stage()], [tasks or task()]))


def only(*arguments: Any) -> Finding:
    """The one finding."""
    (finding,) = found(*arguments)
    return finding


def test_a_run_that_went_well_is_left_alone() -> None:
    assert found() == []
    assert diagnose(Seen([], [])) == []


@pytest.mark.parametrize("moved", [0.0005, 0.02, 1.5, 9.0])
def test_a_rate_is_judged_by_what_came_of_it(moved: float) -> None:
    assert found(stage(history(0.69, 0.05, moved))) == []


def test_a_rate_too_high() -> None:
    lost = task(figures=[0.5], fitted=[0.5])
    finding = only(stage(history(0.7, 0.72, 17, peak=4.0)), lost)
    assert finding.name == "learning-rate-too-high"
    assert finding.changes == {"stages.0.optimizer.lr": 1e-4}
    assert "17 times" in finding.evidence
    assert "4 on the way" in finding.evidence


def test_a_loss_that_rose_and_fell_again_is_none() -> None:
    assert found(stage(history(0.7, 0.02, 1, peak=4.0))) == []


def test_what_goes_on_from_a_good_model_begins_near_nothing() -> None:
    """So its loss rises a little, and says nothing of the rate."""
    assert found(stage(history(0.05, 0.06, 0.02, peak=0.12)), task(figures=[0.95])) == []


def test_wrong_labels_in_train_keep_its_figure_low() -> None:
    """Of rows with wrong labels a good model has fewer right than a linear one has of clean rows."""
    noisy = task(figures=[1.0], fitted=[0.96], linear={"tfidf": 0.995})
    for losses in (history(0.05, 0.06, 0.02, peak=0.12), history(0.2, 0.19, 0.01), history(0.7, 0.2, 0.5)):
        assert not [f for f in found(stage(losses), noisy) if f.name.startswith("learning-rate") or "fit" in f.name]


def test_a_rate_too_low() -> None:
    finding = only(stage(history(0.7, 0.69, 0.001)), task(figures=[0.5], fitted=[0.52]))
    assert finding.name == "learning-rate-too-low"
    assert finding.changes == {"stages.0.optimizer.lr": 1e-2}
    assert "0.10% of their own size" in finding.evidence
    assert "tfidf" in finding.evidence


@pytest.mark.parametrize(
    ("moved", "known", "name"),
    [
        (0.002, True, "learning-rate-too-low"),
        (0.084, True, "learning-rate-too-high"),
        (0.084, False, "learning-rate-too-low"),
    ],
)
def test_a_trained_model_is_lost_before_it_has_gone_far(moved: float, known: bool, name: str) -> None:
    """As MiniLM was on SST-2 with a rate ten times too low, and ten times too high; a fresh model goes as far and still knows
    nothing."""
    seen = task(figures=[0.6], fitted=[0.69], linear={"probe": 0.77})
    assert only(stage(history(0.697, 0.64, moved, steps=96), known=known), seen).name == name


def test_rates_of_default_optimizers_are_given_whole() -> None:
    finding = only(stage(history(0.7, 0.69, 0.001), optimizer_written=False), task(figures=[0.5], fitted=[0.52]))
    assert finding.changes == {"stages.0.optimizer": {"type": "adamw", "lr": 0.01}}


def test_too_few_steps() -> None:
    finding = only(stage(history(0.7, 0.69, 0.05, steps=3), epochs=0.5), task(figures=[0.5], fitted=[0.6]))
    assert finding.name == "too-few-steps"
    assert finding.changes == {"stages.0.epochs": 50}


def test_few_steps_that_suffice() -> None:
    assert found(stage(history(0.7, 0.1, 0.05, steps=30))) == []


def test_most_seeds_decide() -> None:
    bad, good = history(0.7, 0.72, 17, peak=4.0), history(0.7, 0.01, 0.5)
    assert [f.name for f in found(stage(bad, good, good), task(figures=[0.5, 0.9, 0.9]))] == ["unstable-seeds"]
    lost = task(figures=[0.5, 0.5, 0.9], fitted=[0.5, 0.5, 0.99])
    assert [f.name for f in found(stage(bad, bad, good), lost)] == ["learning-rate-too-high"]


def test_labels_that_are_wrong() -> None:
    doubts = task().doubts | {"wrong": 350, "sure_wrong": 55}  # type: ignore[operator]  # the task has some
    seen = [{"rows": 200, "wrong": 90, "sure": 40, "sure_wrong": 13}]
    finding = only(None, task(doubts=doubts, sure=seen))
    assert finding.name == "label-noise"
    assert finding.changes == {
        "stages.0.objectives.0": {"type": "classification", "data": "train", "label_smoothing": 0.1}
    }
    assert "55 (34%)" in finding.evidence


def test_hard_rows_are_no_wrong_labels() -> None:
    """The trained model is right where it is sure, and a linear model finds train no harder than validation."""
    doubts = task().doubts | {"wrong": 350, "sure_wrong": 55, "validation": {"rows": 200, "right": 115}}  # type: ignore[operator]
    assert found(None, task(doubts=doubts)) == []


def test_wrong_labels_of_train_alone() -> None:
    doubts = task().doubts | {"wrong": 350, "sure_wrong": 55}  # type: ignore[operator]  # validation: 85 % right
    assert only(None, task(doubts=doubts)).name == "label-noise"


def test_models_that_know_nothing_doubt_nothing() -> None:
    doubts = task().doubts | {"wrong": 396, "sure_wrong": 70}  # type: ignore[operator]  # no better than chance
    seen = [{"rows": 200, "wrong": 90, "sure": 40, "sure_wrong": 13}]
    assert found(None, task(doubts=doubts, sure=seen)) == []


def test_texts_that_are_cut() -> None:
    cut = {"limit": 8, "rows": 800, "lost": 0.6, "cut": 0.95, "lengths": {"median": 22, "p95": 41}}
    finding = only(None, task(tokens=cut, longest=8))
    assert (finding.name, finding.changes) == ("truncated-texts", {"model.max_length": None})
    assert "60% of all tokens" in finding.evidence
    unset = only(None, task(tokens=cut))
    assert (unset.name, unset.changes) == ("truncated-texts", {})


def test_a_rare_label() -> None:
    pairs = {"pos": {"pos": 190}, "neg": {"pos": 4}}
    rare = task(labels={"pos": 784, "neg": 16}, pairs=[pairs], constant=0.98, figures=[0.98])
    finding = only(None, rare)
    assert finding.name == "imbalance"
    assert finding.changes == {
        "stages.0.objectives.0": {"type": "classification", "data": "train", "class_weights": "balanced"}
    }
    assert "49 : 1; of the 4 validation rows of neg the model finds 0" in finding.evidence
    kept = task(labels={"pos": 784, "neg": 16}, pairs=[{"pos": {"pos": 190}, "neg": {"neg": 11, "pos": 1}}])
    assert found(None, kept) == [], "a rare label that is found does no harm"


def test_changes_of_a_written_objective_are_small() -> None:
    written = ObjectiveSeen("stages.1.objectives.0", {"type": "own", "data": "train"}, "own", ["class_weights"])
    assert task(objective=written).objective_with("class_weights", "balanced") == {
        "stages.1.objectives.0.class_weights": "balanced"
    }
    assert task(objective=written).objective_with("label_smoothing", 0.1) == {}


def test_one_class_for_all() -> None:
    pairs = {"pos": {"pos": 100}, "neg": {"pos": 100}}
    finding = only(stage(history(0.7, 0.4, 0.5)), task(pairs=[pairs], figures=[0.5]))
    assert finding.name == "one-class"
    assert "label pos" in finding.evidence
    assert "Lower the rate" in finding.advice
    still = only(stage(history(0.716, 0.692, 0.12), steps=300), task(pairs=[pairs], figures=[0.5], fitted=[0.5]))
    assert (still.name, "Raise the rate" in still.advice) == ("one-class", True), (
        "it has learned nothing, and hardly moved"
    )


def test_over_fitting() -> None:
    curve = history(0.7, 0.01, 0.5) + validated([0.7, 0.86, 0.8, 0.7, 0.66, 0.64])
    finding = only(stage(curve, steps=200), task(figures=[0.86]))
    assert finding.name == "over-fitting"
    assert finding.changes == {"stages.0.epochs": 2}
    level = history(0.7, 0.01, 0.5) + validated([0.7, 0.86, 0.84, 0.85, 0.84, 0.84])
    assert found(stage(level, steps=200), task(figures=[0.86])) == []


def test_over_fitting_beside_a_linear_model() -> None:
    finding = only(None, task(figures=[0.6]))
    assert (finding.name, finding.changes) == ("over-fitting", {"stages.0.epochs": 5})


def test_under_fitting() -> None:
    finding = only(stage(history(0.7, 0.5, 0.5)), task(figures=[0.7], fitted=[0.72]))
    assert (finding.name, finding.changes) == ("under-fitting", {"stages.0.epochs": 20})


def test_errors_that_are_to_be_small() -> None:
    """Of a metric that is better the smaller it is."""
    numbers = {"metric": "mae", "greater_is_better": False, "labels": {}, "pairs": [{}], "sure": [None], "doubts": None}
    good = task(figures=[0.4], fitted=[0.2], constant=1.0, linear={"tfidf-ridge": 0.6}, **numbers)
    assert found(None, good) == []
    bad = task(figures=[0.9], fitted=[0.8], constant=1.0, linear={"tfidf-ridge": 0.6}, **numbers)
    assert [f.name for f in found(stage(history(1.0, 0.7, 0.5)), bad)] == ["under-fitting"]


def test_silence_without_evidence() -> None:
    """A task that has no labels, no linear models and no tokens, and a stage that logged nothing."""
    bare: dict[str, Any] = {
        "fitted": [None], "constant": None, "linear": {}, "labels": {}, "pairs": [{}], "sure": [None], "doubts": None,
        "tokens": None, "objective": None,
    }  # fmt: skip
    assert found(stage([]), task(**bare)) == []
    assert found(None, task(**bare)) == []
    assert [f.name for f in found(stage(history(8.0, 8.1, 12, peak=30.0)), task(**bare))] == ["learning-rate-too-high"]


def test_pretraining_is_diagnosed_too() -> None:
    thrown = stage(history(8.0, 9.0, 12, peak=30), name="adapt")
    tune = stage(index=1)
    findings = diagnose(Seen([thrown, tune], [task(stage=1)]))
    assert [(f.name, f.where) for f in findings] == [("learning-rate-too-high", "adapt")]
    known = stage(history(2.4, 2.3, 0.01), name="adapt")
    assert diagnose(Seen([known, tune], [task(stage=1)])) == [], "the loss of a known model begins low"


def test_a_loss_that_stays_high_by_design_is_no_failure() -> None:
    """As with mixed rows: the model knows its rows all the same."""
    assert found(stage(history(0.69, 0.65, 0.02))) == []


def test_a_task_without_linear_models_is_judged_by_its_loss() -> None:
    """Such as answers to questions: the rows were predicted, but there is nothing simple to compare with."""
    bare = task(
        constant=None, linear={}, labels={}, pairs=[{}], sure=[None], doubts=None, fitted=[0.01], figures=[0.01]
    )
    assert only(stage(history(5.0, 4.9, 0.001)), bare).name == "learning-rate-too-low"
    assert found(stage(history(5.0, 1.0, 0.02)), bare) == []


def test_surest_rows() -> None:
    import numpy as np

    counted = surest(np.array([0.9, 0.5, 0.6, 0.8, 0.7]), np.array([True, True, False, False, False]))
    assert counted == {"rows": 5, "wrong": 2, "sure": 1, "sure_wrong": 1}


def test_lower_bound() -> None:
    assert lower_bound(0, 0) == 0
    assert lower_bound(50, 100) == pytest.approx(0.4038, abs=1e-4)  # Wilson


# ---- real runs ----


def rows_of(count: int, seed: int, chinese: bool, draw: Any) -> list[dict[str, str]]:
    """Texts of one sure word among others."""
    tones = {"好": "赞棒美", "坏": "差烂糟"} if chinese else {"pos": ["good", "great"], "neg": ["bad", "awful"]}
    others = (
        "的菜店了是在很都也这"
        if chinese
        else ["the", "film", "plot", "phone", "was", "and", "is", "very", "quite", "today", "again", "case"]
    )
    made = []
    for number in range(count):
        label = list(tones)[number % 2]
        words = [*draw.choices(others, k=8), draw.choice(tones[label])]
        draw.shuffle(words)
        made.append({"text": ("" if chinese else " ").join([*words, f"{seed}x{number}"]), "label": label})
    return made


def diagnosed(
    hft: Callable[..., Any], folder: Path, chinese: bool, change: Callable[[dict[str, Any]], None], flip: float = 0
) -> list[dict[str, Any]]:
    """Carry out a small run; gives its diagnosis."""
    import random

    draw = random.Random(0)
    for split, count in (("train", 600 if flip else 300), ("validation", 120)):  # wrong labels take rows to be seen
        rows = rows_of(count, count, chinese, draw)
        labels = sorted({row["label"] for row in rows})
        for row in rows:
            if draw.random() < flip:
                row["label"] = labels[1 - labels.index(row["label"])]
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        (folder / f"{split}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    recipe: dict[str, Any] = {
        "name": "small",
        "data": {split: {"type": "jsonl", "path": str(folder / f"{split}.jsonl")} for split in ("train", "validation")},
        "task": {"type": "text-classification", "text": "text", "label": "label"},
        "model": {
            "type": "bert",
            "source": {
                "scratch": "tiny",
                "config": {"hidden_size": 64},
                "tokenizer": {"type": "wordpiece", "size": 400},
            },
        },
        "stages": [
            {
                "stage": "finetune",
                "objectives": [{"type": "task", "data": "train"}],
                "epochs": 6,
                "batch_size": 16,
                "optimizer": {"type": "adam", "lr": 2e-3},
            }
        ],
        "evaluate": {"plain": False},
        "precision": "fp32",
    }
    change(recipe)
    (folder / "recipe.yaml").write_text(json.dumps(recipe, ensure_ascii=False, indent=1), encoding="utf-8")
    outcome = hft("run", folder / "recipe.yaml")
    assert outcome.code == 0, outcome.err
    run = hft_core.Run.open(folder / "runs" / "small")
    report = json.loads((run.folder / "report.json").read_text("utf-8"))
    findings: list[dict[str, Any]] = report["diagnosis"]
    told = [line for line in outcome.out.splitlines() if line.startswith("diagnosis: ")]
    assert len(told) == len(findings), "one line each at the end of `hft run`"
    page = run.report.read_text("utf-8")
    registry = load_registry()
    for finding in findings:
        for path, value in finding["changes"].items():
            assert f"{path}: {json.dumps(value, ensure_ascii=False)}" in "".join(told)
            load_recipe(folder / "recipe.yaml", registry, [f"{path}={json.dumps(value, ensure_ascii=False)}"])
    assert ('id="diagnosis"' in page) == bool(findings)
    return findings


def put(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Give what sets a value of a recipe."""

    def change(recipe: dict[str, Any]) -> None:
        holder: Any = recipe
        *steps, last = path.split(".")
        for step in steps:
            holder = holder[int(step)] if isinstance(holder, list) else holder[step]
        holder[last] = value

    return change


FAULTS: Mapping[str, tuple[Callable[[dict[str, Any]], None], float]] = {
    "learning-rate-too-high": (put("stages.0.optimizer.lr", 0.2), 0),
    "learning-rate-too-low": (put("stages.0.optimizer.lr", 2e-5), 0),
    "too-few-steps": (put("stages.0.epochs", 0.15), 0),
    "label-noise": (lambda recipe: None, 0.3),
    "truncated-texts": (put("model.max_length", 8), 0),
}


@pytest.mark.slow
@pytest.mark.parametrize("chinese", [False, True], ids=["en", "zh"])
@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_found(fault: str, chinese: bool, hft_here: Callable[..., Any], tmp_path: Path) -> None:
    change, flip = FAULTS[fault]
    assert fault in [finding["name"] for finding in diagnosed(hft_here, tmp_path, chinese, change, flip)]


@pytest.mark.slow
@pytest.mark.parametrize("chinese", [False, True], ids=["en", "zh"])
def test_a_healthy_run_is_left_alone(chinese: bool, hft_here: Callable[..., Any], tmp_path: Path) -> None:
    assert diagnosed(hft_here, tmp_path, chinese, lambda recipe: None) == []
