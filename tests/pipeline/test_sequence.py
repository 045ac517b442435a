"""Stages one after the other: any order, each with its own settings, from the best of the one before, with the known heads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import hft_core
from hft_core.pipeline import report_diagnosis
from hft_core.pipeline.execute import execute
from hft_core.pipeline.progress import Progress
from hft_core.store.store import Store
from hft_core.training.stopping import StopRequest

READ = {
    "stage": "pretrain",
    "objectives": [{"type": "masked-lm", "data": "corpus"}],
    "epochs": 1,
    "batch_size": 24,
    "optimizer": {"type": "adamw", "lr": 5e-4},
    "schedule": {"type": "cosine", "warmup": 0.0},
}
TUNE = {
    "stage": "finetune",
    "objectives": [{"type": "task", "data": "train"}],
    "epochs": 2,
    "batch_size": 16,
    "optimizer": {"type": "adam", "lr": 1e-3},
    "schedule": {"type": "constant"},
}

WATCH = '''
from pathlib import Path
from typing import Any, Literal
import numpy as np
import torch
from hft_core import Metric, Technique, hookimpl
from hft_core.store.hashing import digest_json

def digest(net: Any) -> str:
    weights = {name: p.detach().double().sum().item() for name, p in net.backbone.named_parameters()}
    return digest_json(weights)

class Watch(Technique):
    """Writes down what the backbone is before the stage and after each step."""

    type: Literal["watch"]
    into: str

    def prepare(self, net: Any, context: Any) -> None:
        Path(self.into).write_text(digest(net) + "\\n")

    def after_step(self, net: Any, state: Any, step: int) -> None:
        with Path(self.into).open("a") as stream:
            stream.write(digest(net) + "\\n")

class Doubt(Metric):
    """How unsure the predictions are: best before much was learned."""

    type: Literal["doubt"]
    needs = frozenset({"score"})

    def rows(self, predictions: Any, truths: Any, facts: Any) -> Any:
        return np.array([[1 - found.get("score", 1.0), 1.0] for found in predictions])

    def value(self, statistics: Any, facts: Any) -> dict[str, float]:
        return {"doubt": statistics[0] / statistics[1]}

@hookimpl
def register_techniques() -> list[Any]:
    return [Watch]

@hookimpl
def register_metrics() -> list[Any]:
    return [Doubt]
'''


def named(stage: dict[str, Any], name: str, **changes: Any) -> dict[str, Any]:
    return stage | {"name": name} | changes


def stages(project: Any, *made: dict[str, Any]) -> None:
    """Give the project's recipe these stages, and no source that none of them reads."""
    project.recipe["stages"] = list(made)
    if all(stage["stage"] == "finetune" for stage in made):
        project.recipe["data"].pop("corpus", None)


def notes(project: Any, *plugins: Path) -> dict[str, dict[str, Any]]:
    """What each stage of the project's recipe left in the store, by the stage's name."""
    plan = project.built(plugins=plugins)
    store = Store(project.folder / ".hft")
    folders = {chain.name.removeprefix("stage "): store.folder(chain.key) for chain in plan.stages[0]}
    return {name: json.loads((folder / "stage.json").read_text("utf-8")) for name, folder in folders.items()}


def news(events: Any) -> list[str]:
    """The announcements of heads that start from random numbers."""
    return [line for line in events.said if "new for this model" in line]


def backbone(folder: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in tensors(folder).items() if name.startswith("bert.")}


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model" / "model.safetensors")


@pytest.mark.slow
@pytest.mark.parametrize(
    "kinds",
    ["finetune pretrain finetune", "pretrain pretrain finetune", "finetune finetune", "pretrain pretrain", "finetune pretrain"],
)  # fmt: skip
def test_stages_in_any_order(project: Any, kinds: str) -> None:
    """Each does as many steps as its own data, epochs and batch say, at its own rate; the last one's model is measured."""
    made = [(READ if kind == "pretrain" else TUNE) | {"name": f"s{at}"} for at, kind in enumerate(kinds.split())]
    made[0] |= {"batch_size": 12, "epochs": 1}
    stages(project, *made)
    run = project.run()
    left = notes(project)
    assert list(left) == [stage["name"] for stage in made]
    for stage in made:
        rows = 72 if stage["stage"] == "pretrain" else 96  # 80 lines, of which a tenth is held out
        assert left[stage["name"]]["steps"] == stage["epochs"] * -(-rows // stage["batch_size"])
        rates = [point["lr"] for point in left[stage["name"]]["history"] if "lr" in point]
        if stage["schedule"]["type"] == "constant":
            assert set(rates) == {1e-3}
        else:
            assert max(rates) <= 5e-4
            assert rates == sorted(rates, reverse=True)
    assert ("accuracy" in run.metrics.get("test", {})) == ("finetune" in kinds)


def test_techniques_and_optimizers_are_those_of_the_stage(project: Any) -> None:
    """A frozen embedding stays as the first stage left it; in the other stage it moves."""
    frozen = {"type": "freeze", "parts": ["embeddings"]}
    plain = {"type": "sgd", "lr": 0.05}
    stages(project, named(READ, "read"), named(TUNE, "tune", techniques=[frozen], optimizer=plain))
    project.run()
    plan = project.built()
    store = Store(project.folder / ".hft")
    before, after = (backbone(store.folder(node.key)) for node in plan.stages[0])
    moved = {name for name in before.keys() & after.keys() if not torch.equal(before[name], after[name])}
    assert moved
    assert not [name for name in moved if name.startswith("bert.embeddings.")]
    assert any(name.startswith("bert.encoder.") for name in moved)


def test_a_stage_starts_from_the_best_of_the_one_before(project: Any) -> None:
    """Which is neither its start nor its last step here."""
    plugin = project.folder / "watch.py"
    plugin.write_text(WATCH, "utf-8")
    logs = [project.folder / "first.log", project.folder / "second.log"]
    watch = [[{"type": "watch", "into": str(log)}] for log in logs]
    first_stage = named(TUNE, "first", epochs=4, techniques=watch[0])
    stages(project, first_stage, named(TUNE, "second", epochs=1, techniques=watch[1]))
    project.recipe["evaluate"] = {"metrics": [{"type": "doubt"}]}
    plan = project.built(plugins=(plugin,))
    execute(plan.nodes, Store(project.folder / ".hft"), Progress(), StopRequest())
    note = notes(project, plugin)["first"]
    assert 0 < note["best_step"] < note["steps"]
    first, second = (log.read_text("utf-8").split() for log in logs)
    assert len(set(first)) == note["steps"] + 1
    assert second[0] == first[note["best_step"]]


def test_a_head_is_known_by_its_name_after_stages_that_do_not_train_it(project: Any, events: Any) -> None:
    stages(project, named(TUNE, "one"), named(READ, "two"), named(TUNE, "three"), named(READ, "four"))
    project.run(progress=events)
    assert [line.partition(" (")[0] for line in news(events)] == ["stage two: new for this model: masked-lm"]


def test_pretraining_on_two_corpora_is_one_head(project: Any, events: Any) -> None:
    (project.folder / "more.txt").write_text((project.folder / "corpus.txt").read_text("utf-8")[::-1], "utf-8")
    project.recipe["data"]["more"] = {"type": "text", "path": "more.txt"}
    later = named(READ, "two", objectives=[{"type": "masked-lm", "data": "more"}])
    stages(project, named(READ, "one"), later)
    project.run(progress=events)
    assert news(events) == []


# ---- from an earlier run ----


@pytest.fixture
def earlier(project: Any) -> Path:
    """A run with the heads main and masked-lm; the project's recipe starts from it."""
    stages(project, named(READ, "read"), named(TUNE, "tune"))
    folder: Path = project.run().folder
    project.recipe |= {"name": "later", "model": {"type": "bert", "source": str(folder), "max_length": 64}}
    return folder


@pytest.mark.slow
def test_the_diagnosis_is_told_which_weights_knew_something(
    project: Any, monkeypatch: pytest.MonkeyPatch, earlier: Path
) -> None:
    """Those of an earlier run, and not a fresh model's."""
    told: list[list[bool]] = []

    def recorded(seen: Any) -> list[Any]:
        told.append([stage.known for stage in seen.stages])
        return []

    monkeypatch.setattr(report_diagnosis, "diagnose", recorded)
    stages(project, named(TUNE, "tune"))
    project.run()
    fresh = {"scratch": "tiny", "tokenizer": {"type": "wordpiece", "size": 300}}
    project.recipe |= {"name": "fresh", "model": project.recipe["model"] | {"source": fresh}}
    project.run()
    assert told == [[True], [False]]


@pytest.mark.parametrize("kinds", ["pretrain finetune", "finetune pretrain finetune", "pretrain pretrain", "finetune"])
def test_training_goes_on_with_the_heads_of_an_earlier_run(
    project: Any, earlier: Path, events: Any, make_rows: Any, write_rows: Any, kinds: str
) -> None:
    """New data, in stages that come in another order: no head is lost on the way to the stage that trains it."""
    write_rows(project.folder / "train.csv", make_rows(64, 7))
    made = [named(READ if kind == "pretrain" else TUNE, f"s{at}", epochs=1) for at, kind in enumerate(kinds.split())]
    stages(project, *made)
    run = project.run(progress=events)
    assert news(events) == []
    report = json.loads((run.folder / "report.json").read_text("utf-8"))
    before = json.loads((earlier / "report.json").read_text("utf-8"))["metrics"]["test"]
    assert report["baselines"]["before"]["test"]["accuracy"] == before["accuracy"]
    assert "accuracy" in report["metrics"]["test"]


def test_a_head_that_no_stage_trains_stays_as_it_was(project: Any, earlier: Path) -> None:
    stages(project, named(READ, "read", epochs=1))
    old, new = tensors(earlier), tensors(project.run().folder)
    assert torch.equal(old["classifier.weight"], new["classifier.weight"])
    assert not torch.equal(
        old["bert.encoder.layer.0.output.dense.weight"], new["bert.encoder.layer.0.output.dense.weight"]
    )


def test_what_a_later_stage_trains_is_part_of_the_key_only_where_it_is_kept(project: Any) -> None:
    stages(project, named(TUNE, "tune"), named(READ, "read"))
    both = project.plan()["stage tune"]
    stages(project, named(TUNE, "tune"))
    assert both == project.plan()["stage tune"]  # a scratch model has no head for it


# ---- other labels than the earlier run's ----

STILL = {"optimizer": {"type": "sgd", "lr": 1e-12}, "epochs": 1}
"""Trains, and changes nothing that one sees."""


@pytest.fixture
def relabel(project: Any, make_rows: Any, write_rows: Any) -> Any:
    """Give ``relabel(names, *more)``: new data whose labels are called by `names`, with rows of `more` labels."""

    def write(names: dict[str, str], *more: str) -> None:
        for file, count, seed in (("train.csv", 64, 7), ("dev.csv", 110, 2), ("test.csv", 60, 3)):
            rows = [(text, names.get(label, label)) for text, label in make_rows(count, seed)]
            others = [(f"{text} {label}", label) for label in more for text, _ in make_rows(20, seed + 8)]
            write_rows(project.folder / file, rows + others)

    return write


def labels_said(events: Any) -> list[str]:
    """The announcements of changed labels by the stages."""
    return [line for line in events.said if line.startswith("stage ") and "labels of main" in line]


def rows_of(folder: Path) -> dict[str, torch.Tensor]:
    """What the model's head answers each label by, by the label."""
    names = json.loads((folder / "model" / "config.json").read_text("utf-8"))["id2label"]
    found = tensors(folder)
    return {
        name: torch.cat([found["classifier.weight"][int(at)], found["classifier.bias"][int(at)][None]])
        for at, name in names.items()
    }


@pytest.mark.parametrize("kinds", ["finetune", "pretrain finetune"])
@pytest.mark.parametrize(
    ("names", "more", "said"),
    [
        ({"pos": "great"}, (), "new is 'great', gone is 'pos'"),
        ({}, ("maybe",), "new is 'maybe'"),
    ],
)
def test_changed_labels_are_announced_by_name(
    project: Any, earlier: Path, events: Any, relabel: Any,
    names: dict[str, str], more: tuple[str, ...], said: str, kinds: str,
) -> None:  # fmt: skip
    """In the stage that trains them; the rows of the others come as far as that, through any stage before."""
    relabel(names, *more)
    stages(project, *(named(READ if kind == "pretrain" else TUNE, kind, **STILL) for kind in kinds.split()))
    run = project.run(progress=events)
    assert labels_said(events) == [
        f"stage finetune: labels of main: {said}; those that stay keep their weights (new ones start from random numbers)"
    ]
    assert news(events) == []
    [before] = [line for line in events.said if line.startswith("before: ")]
    assert f"has no head for the task 'main' as it is here ({said.partition(',')[0]})" in before
    assert "before" not in json.loads((run.folder / "report.json").read_text("utf-8"))["baselines"]
    old, new = rows_of(earlier), rows_of(run.folder)
    for label in old.keys() & new.keys():
        torch.testing.assert_close(new[label], old[label], atol=1e-7, rtol=0)
    assert new.keys() - old.keys()


def test_labels_that_no_row_has_any_more_are_left_out(project: Any, earlier: Path, events: Any, relabel: Any) -> None:
    """The head is known, and measured without them before the first step; no stage has to train it."""
    relabel({}, "maybe", "never")
    stages(project, named(READ, "read", **STILL), named(TUNE, "tune", epochs=1))
    four = project.run().folder
    relabel({})
    project.recipe |= {"name": "last", "model": project.recipe["model"] | {"source": str(four)}}
    stages(project, named(READ, "read", **STILL))
    run = project.run(progress=events)
    what = "labels of main: gone are 'maybe', 'never'; those that stay keep their weights"
    assert labels_said(events) == [f"stage read: {what}"]
    assert next(line for line in events.said if line.startswith("before: ")) == f"before: {what}"
    report = json.loads((run.folder / "report.json").read_text("utf-8"))
    assert report["baselines"]["before"]["test"]["accuracy"] == report["metrics"]["test"]["accuracy"]
    old, new = rows_of(four), rows_of(run.folder)
    assert list(new) == ["neg", "pos"]
    assert all(torch.equal(new[label], old[label]) for label in new)


def test_a_damaged_note_of_the_earlier_run_is_named(project: Any, earlier: Path) -> None:
    (earlier / "run.json").write_text("{", "utf-8")
    with pytest.raises(hft_core.DamagedError, match=r"run\.json is damaged"):
        project.plan()
