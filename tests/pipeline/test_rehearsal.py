"""Rehearsal: streams mixed in a ratio, and an old task that is measured before and after, whether a stage trains it or not."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import hft_core
from hft_core.training.streams import LiveStream

TASK = {"type": "text-classification", "text": "text", "label": "label"}
SIDE = {"type": "task", "task": "old", "data": "train"}


@pytest.fixture
def rehearsal(project: Any, make_rows: Any, write_rows: Any) -> Any:
    """A recipe for the new task, long or short, that starts from the run of the old one; `project.old` is that run."""
    data = project.recipe["data"]
    of_old = {split: data[split] for split in ("train", "validation", "test")}
    del project.recipe["task"]
    tune = project.recipe["stages"][1] | {"epochs": 2}
    project.recipe |= {"name": "old-run", "tasks": {"old": TASK}, "data": of_old, "stages": [tune]}
    project.old = hft_core.run(project.write())
    for file, count, seed in (("new.csv", 64, 5), ("new-test.csv", 40, 6)):
        rows = [(text, "long" if len(text.split()) > 10 else "short") for text, _ in make_rows(count, seed)]
        write_rows(project.folder / file, rows)
    of_new = {split: {"type": "csv", "path": file} for split, file in (("train", "new.csv"), ("test", "new-test.csv"))}
    project.recipe |= {
        "name": "new-run",
        "model": {"type": "bert", "source": "runs/old-run", "max_length": 64},
        "tasks": {"new": TASK, "old": TASK},
        "data": {"new": of_new, "old": of_old},
        "stages": [tune | {"objectives": [{"type": "task", "task": "new", "data": "train"}], "epochs": 1}],
        "evaluate": {"best": "new.accuracy"},
    }
    return project


def report(run: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run.folder / "report.json").read_text("utf-8"))
    return found


def weights(run: Any) -> dict[str, Any]:
    return {file.name: load_file(file) for file in sorted(run.model.rglob("*.safetensors"))}


# ---- measured before and after ----


def test_a_task_that_no_stage_trains_is_measured_before_and_after(rehearsal: Any, events: Any) -> None:
    run = rehearsal.run(progress=events)
    made = report(run)
    then = report(rehearsal.old)["metrics"]
    for split in ("validation", "test"):
        before = {name.removeprefix("old."): figure for name, figure in made["baselines"]["before"][split].items()}
        assert before == then[split], "the old run's own figures, intervals included"
    assert {"old.accuracy", "new.accuracy"} <= set(made["metrics"]["test"])
    assert "old.accuracy" in made["baselines"]["majority"]["test"]
    assert "Before: the model it starts from" in run.report.read_text("utf-8")
    assert [line for line in events.said if "new for this model: new (" in line]
    # The head that nobody trained is the old run's; the backbone below it has moved.
    old, new = weights(rehearsal.old)["model.safetensors"], weights(run)
    assert np.array_equal(new["old.safetensors"]["classifier.weight"], old["classifier.weight"])
    moved = "bert.encoder.layer.0.output.dense.weight"
    assert not np.array_equal(new["model.safetensors"][moved], old[moved])


def test_a_weight_of_nothing_is_the_stage_without_rehearsal(rehearsal: Any) -> None:
    """Two ways to say it, one result: bit for bit."""
    without = weights(rehearsal.run())
    rehearsal.recipe["stages"][0]["objectives"].append(SIDE | {"weight": 0})
    silent = weights(rehearsal.run())
    assert without.keys() == silent.keys()
    for name, tensors in without.items():
        assert all(np.array_equal(tensors[key], silent[name][key]) for key in tensors)


def test_rehearsal_is_felt_by_the_old_head(rehearsal: Any, events: Any) -> None:
    rehearsal.recipe["stages"][0]["objectives"].append(SIDE | {"weight": 0.3, "batch_size": 4})
    run = rehearsal.run(progress=events)
    assert "before" in report(run)["baselines"]
    assert not [line for line in events.said if "new for this model" in line and "old" in line]
    old = weights(rehearsal.old)["model.safetensors"]["classifier.weight"]
    assert not np.array_equal(weights(run)["old.safetensors"]["classifier.weight"], old)


def test_an_old_task_can_be_exported_though_nobody_trains_it(rehearsal: Any) -> None:
    rehearsal.recipe["export"] = [{"type": "onnx"}]
    assert set(rehearsal.run().bundles) == {"old", "new"}


def test_without_an_earlier_run_somebody_has_to_train_it(rehearsal: Any) -> None:
    rehearsal.recipe["model"]["source"] = "runs/old-run/model"  # a plain folder says nothing of tasks
    with pytest.raises(
        hft_core.RecipeError, match="no stage trains the task 'old', and the model starts from no earlier"
    ):
        rehearsal.plan()


def test_an_earlier_run_of_another_task_is_named(rehearsal: Any) -> None:
    recipe = copy.deepcopy(rehearsal.recipe)
    rehearsal.recipe["tasks"] = {"new": TASK, "odl": TASK}
    rehearsal.recipe["data"]["odl"] = rehearsal.recipe["data"].pop("old")
    with pytest.raises(hft_core.RecipeError, match="the task 'odl', and the run that the model starts from has old"):
        rehearsal.plan()
    rehearsal.recipe = recipe
    assert "old.before" in rehearsal.plan()


def test_a_head_for_other_labels_is_refused_before_anything_is_trained(
    rehearsal: Any, events: Any, make_rows: Any, write_rows: Any
) -> None:
    write_rows(rehearsal.folder / "train.csv", [(text, label.upper()) for text, label in make_rows(96, 1)])
    rehearsal.recipe["data"]["old"] = {"train": rehearsal.recipe["data"]["old"]["train"]}
    with pytest.raises(hft_core.RecipeError, match="no head for the task 'old' as it is here"):
        rehearsal.run(progress=events)
    assert not [name for name in events.outcome if name.startswith("stage")]


# ---- streams in a ratio ----


def test_streams_mix_in_the_ratio_of_their_rows(rehearsal: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, dict[int, int]] = {}
    plain = LiveStream.pieces

    def counted(self: Any, index: int, *arguments: Any, **more: Any) -> Any:
        pieces = plain(self, index, *arguments, **more)
        seen.setdefault(self.name, {})[index] = sum(len(piece.entries) for piece in pieces)
        return pieces

    monkeypatch.setattr(LiveStream, "pieces", counted)
    rehearsal.recipe["stages"][0] |= {"batch_size": 12, "micro_batch": 5}
    rehearsal.recipe["stages"][0]["objectives"].append(SIDE | {"batch_size": 3})
    rehearsal.run()
    assert max(seen["new"].values()) == 12
    assert set(seen["old"].values()) == {3}
    assert seen["old"].keys() == seen["new"].keys(), "as many steps, counted by the first objective"


def test_rows_of_a_stream_are_part_of_the_stages_key_alone(rehearsal: Any) -> None:
    objectives = rehearsal.recipe["stages"][0]["objectives"]
    objectives.append(dict(SIDE))
    plain = rehearsal.plan()
    objectives[1]["batch_size"] = rehearsal.recipe["stages"][0]["batch_size"]
    assert rehearsal.plan() == plain
    objectives[1]["batch_size"] = 4
    changed = {name for name, key in rehearsal.plan().items() if key != plain[name]}
    assert changed == {"stage tune", "new.evaluate", "old.evaluate", "new.diagnosis", "old.diagnosis"}


@pytest.mark.parametrize("rows", [0, -1, 1.5, True, "all"])
def test_rows_that_make_no_sense(rehearsal: Any, rows: Any) -> None:
    rehearsal.recipe["stages"][0]["objectives"][0]["batch_size"] = rows
    with pytest.raises(hft_core.RecipeError, match=r"stages\.0\.objectives\.0\.batch_size"):
        rehearsal.plan()
