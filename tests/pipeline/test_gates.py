"""`when: helps`: an entry stays only if evidence says that it helps; what was decided is kept in the store."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hft_core

PARTS = '''
from typing import Literal

from hft_core import Technique, hookimpl


class Idle(Technique):
    """Changes nothing."""

    type: Literal["idle"]
    shade: int = 0


class Wild(Technique):
    """Leaves no number in the weights."""

    type: Literal["wild"]

    def after_step(self, net, state, step):
        for parameter in net.parameters():
            parameter.data.fill_(float("nan"))


@hookimpl
def register_techniques():
    return [Idle, Wild]
'''


@pytest.fixture
def gated(project: Any) -> Any:
    """A recipe of one stage with a gate on a technique that changes nothing, on two seeds."""
    (project.folder / "parts.py").write_text(PARTS, encoding="utf-8")
    project.plugins = (project.folder / "parts.py",)
    del project.recipe["stages"][0]
    del project.recipe["data"]["corpus"]
    project.recipe["stages"][0] |= {"epochs": 1, "techniques": [{"type": "idle", "when": "helps"}]}
    project.recipe["evaluate"] = {"seeds": 2}
    return project


def carried_out(project: Any, events: Any, *overrides: str) -> dict[str, Any]:
    run = hft_core.run(project.write(), overrides=overrides, plugins=project.plugins, progress=events)
    report: dict[str, Any] = json.loads((run.folder / "report.json").read_text("utf-8"))
    return report


@pytest.mark.slow
def test_what_changes_nothing_is_dropped_and_nothing_is_computed_twice(
    gated: Any, make_events: Callable[[], Any]
) -> None:
    first = make_events()
    report = carried_out(gated, first)
    (gate,) = report["gates"]
    assert (gate["title"], gate["verdict"], gate["kept"]) == ("technique idle of tune", "unproven", False)
    assert gate["without"] == gate["with"]
    assert gate["folds"], "110 rows of validation are too few"
    assert gate["rows"] == 96 + 110
    trained = [name for name, outcome in first.outcome.items() if outcome == "made" and "stage" in name]
    assert trained == [
        "without technique idle of tune: stage tune (seed 0)",
        "without technique idle of tune: stage tune (seed 1)",
        "with technique idle of tune: stage tune (seed 0)",
        "with technique idle of tune: stage tune (seed 1)",
        "stage tune (seed 0)",
        "stage tune (seed 1)",
    ]
    assert "idle" not in report["recipe"]
    assert report["scored"]["earlier"] == 0
    for file in ("report.html", "README.md"):
        text = (gated.folder / "runs" / "small" / file).read_text("utf-8")
        assert "unproven: dropped" in text, file
        assert "scored once" in text, file

    again = make_events()
    assert carried_out(gated, again)["gates"] == [gate]
    assert [name for name, outcome in again.outcome.items() if outcome == "made"] == []

    unrelated = make_events()
    carried_out(gated, unrelated, "stages.0.checkpoint_minutes=3", "name=other")
    assert not [name for name, outcome in unrelated.outcome.items() if outcome == "made" and "stage" in name]
    assert unrelated.outcome["gate technique idle of tune"] == "reused"


@pytest.mark.slow
def test_a_gate_depends_on_its_entry_and_on_the_metric(gated: Any, make_events: Callable[[], Any]) -> None:
    carried_out(gated, make_events())
    for change, retrained in (("stages.0.techniques.0.shade=1", 2), ("evaluate.best=f1", 0)):
        events = make_events()
        carried_out(gated, events, change)
        made = [name for name, outcome in events.outcome.items() if outcome == "made"]
        assert any(name.startswith("gate ") for name in made), change
        if retrained:
            assert [name for name in made if ": stage" in name] == [
                f"with technique idle of tune: stage tune (seed {seed})" for seed in (0, 1)
            ]


@pytest.mark.slow
def test_what_gc_leaves_is_enough_for_the_same_run(project: Any, make_events: Callable[[], Any]) -> None:
    """Arms go, and what only the recipe with all of its entries needs; verdicts and the run's own stay."""
    from hft_core.store.gc import collect
    from hft_core.store.store import Store

    (project.folder / "parts.py").write_text(PARTS, encoding="utf-8")
    project.plugins = (project.folder / "parts.py",)
    project.recipe["stages"][1] |= {"epochs": 1, "techniques": [{"type": "idle", "when": "helps"}]}
    project.recipe["evaluate"] = {"seeds": 2}
    first = carried_out(project, make_events())
    assert collect(Store(project.folder / ".hft"))
    events = make_events()
    assert carried_out(project, events)["gates"] == first["gates"]
    assert [name for name, outcome in events.outcome.items() if outcome == "made"] == []


@pytest.mark.slow
def test_what_makes_training_diverge_is_dropped_with_the_reason(gated: Any, make_events: Callable[[], Any]) -> None:
    gated.recipe["stages"][0]["techniques"] = [{"type": "wild", "when": "helps"}]
    report = carried_out(gated, make_events())
    (gate,) = report["gates"]
    assert (gate["verdict"], gate["kept"]) == ("harms", False)
    assert "not a number" in gate["diverged"] or "nan" in gate["diverged"]
    assert "training with it diverged" in (gated.folder / "runs" / "small" / "report.html").read_text("utf-8")
    again = make_events()
    assert carried_out(gated, again)["gates"] == [gate]
    assert [name for name, outcome in again.outcome.items() if outcome == "made"] == []


@pytest.mark.slow
def test_plan_shows_the_arms_and_their_cost_and_after_the_run_nothing(gated: Any, hft_here: Callable[..., Any]) -> None:
    plugin = ("--plugin", gated.plugins[0])
    before = hft_here("plan", gated.write(), *plugin)
    assert "run      with technique idle of tune: stage tune (seed 1)" in before.out
    assert "technique idle of tune is to be settled" in before.out
    assert "predicted cost: 6 stages to train; none like them was timed" in before.out
    assert hft_here("run", gated.write(), *plugin).code == 0
    after = hft_here("plan", gated.write(), *plugin)
    assert "technique idle of tune is unproven" in after.out
    assert "nothing to do" in after.out
    exported = hft_here("export", gated.folder / "runs" / "small", *plugin)
    assert exported.code == 0, exported.err
    report = json.loads((gated.folder / "runs" / "small" / "report.json").read_text("utf-8"))
    assert report["gates"][0]["verdict"] == "unproven"


@pytest.mark.slow
def test_killed_in_a_gate_it_goes_on(gated: Any, make_events: Callable[[], Any]) -> None:
    command = ("run", str(gated.write()), "--plugin", str(gated.plugins[0]), "--set", "stages.0.epochs=8")
    process = gated.command(*command)
    objects = gated.folder / ".hft" / "objects"
    assert process.stderr is not None
    for line in process.stderr:
        print(line)  # shown where the test fails
        if "with technique idle of tune: stage tune (seed 0): epoch 1" in line and "without" not in line:
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(0.2)
    kept = {path.name: path.stat().st_mtime_ns for path in objects.iterdir()}
    assert not (gated.folder / "runs" / "small").exists()
    events = make_events()
    report = carried_out(gated, events, "stages.0.epochs=8")
    assert report["gates"][0]["verdict"] == "unproven"
    assert report["gates"][0]["without"] == report["gates"][0]["with"]
    made = [name for name, outcome in events.outcome.items() if outcome == "made"]
    assert not [name for name in made if name.startswith("without")]
    assert "with technique idle of tune: stage tune (seed 0)" in made
    assert {path.name: path.stat().st_mtime_ns for path in objects.iterdir() if path.name in kept} == kept


def test_gates_are_settled_in_order_on_what_is_settled_so_far(gated: Any) -> None:
    """Three gates, the second in a stage that is dropped: four arms but one, and each trains what it has to."""
    from hft_core.pipeline.gates import settle
    from hft_core.recipe import load_recipe
    from hft_core.registry import load_registry

    lm = {"type": "masked-lm", "data": "train"}
    adapt = {"stage": "pretrain", "name": "adapt", "objectives": [lm], "when": "helps"}
    adapt["techniques"] = [{"type": "ema", "when": "helps"}]
    gated.recipe["prepare"] = {"augment": [{"type": "random-swap", "when": "helps"}]}
    gated.recipe["stages"].insert(0, adapt)
    registry = load_registry(gated.plugins)
    loaded = load_recipe(gated.write(), registry)
    told: list[tuple[str, list[list[str]]]] = []

    def verdict(gate: Any) -> dict[str, Any]:
        told.append((gate.title, [[node.key for node in arm.measured] for arm in gate.arms]))
        return {"verdict": "helps" if "random-swap" in gate.title else "unproven"}

    settled = settle(loaded, registry, False, verdict)
    assert [title for title, _ in told] == ["augmenter random-swap", "stage adapt", "technique idle of tune"]
    assert told[1][1][0] == told[0][1][1] == told[2][1][0], "the arm that stays is the next one's starting point"
    assert len({tuple(arm) for _, arms in told for arm in arms}) == 4
    assert [decision.kept for decision in settled.decisions] == [True, False, False, False]
    assert settled.decisions[2].verdict is None, "it goes with its stage"
    left = settled.loaded.raw
    assert left["prepare"]["augment"] == [{"type": "random-swap"}]
    assert [stage["stage"] for stage in left["stages"]] == ["finetune"]
    assert left["stages"][0]["techniques"] == []


def written(project: Any, change: Callable[[dict[str, Any]], object]) -> Path:
    change(project.recipe)
    file: Path = project.write()
    return file


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda r: r["evaluate"].update(seeds=1), "stages.0.techniques.0.when: `when: helps` needs several seeds"),
        (lambda r: r["stages"][0].update(when="helps"), "stages.0.when: `when: helps` may drop this entry, and"),
        (lambda r: r["data"]["test"].update(when="helps"), "data.test.when: `when: helps` may stand on what the weights"),
        (lambda r: r.update(export=[{"type": "onnx", "when": "helps"}]), "export.0.when: `when: helps` may stand on"),
        (
            lambda r: r["stages"][0]["objectives"][0].update(when="helps"),
            "stages.0.objectives.0.when: `when: helps` may drop this entry",
        ),
        (
            lambda r: (
                r["stages"].append({"stage": "finetune", "objectives": [{"type": "task", "data": "train"}], "when": "helps"}),
                r["stages"][0].update(when="helps"),
            ),
            "the gates may drop all of their entries",
        ),
        (lambda r: r["evaluate"].update(best="bleu"), "evaluate.best: 'bleu' is not among"),
        (lambda r: r["data"].update(test=r["data"]["validation"]), "data.test: test has the same rows as validation"),
    ],
)  # fmt: skip
def test_what_cannot_be_settled_is_refused_by_the_check(
    gated: Any, change: Callable[[dict[str, Any]], object], expected: str, hft_here: Callable[..., Any]
) -> None:
    outcome = hft_here("check", written(gated, change), "--plugin", gated.plugins[0])
    assert outcome.code == 2
    assert expected in outcome.err
    assert "Traceback" not in outcome.err


def test_several_processes_settle_no_gate(gated: Any, hft_here: Callable[..., Any]) -> None:
    outcome = hft_here("check", gated.write(), "--plugin", gated.plugins[0], "--processes", "2")
    assert outcome.code == 2
    assert "`when: helps` is settled by one process" in outcome.err


def test_what_was_measured_without_the_test_does_not_stand_for_a_run_that_has_one(gated: Any) -> None:
    """Where both held-out splits come from train, an arm and the run read the same rows."""
    from hft_core.pipeline.gates import as_written
    from hft_core.pipeline.plan import build_plan
    from hft_core.pipeline.plan_arms import build_arm
    from hft_core.recipe import load_recipe
    from hft_core.registry import load_registry

    gated.recipe["data"] = {"train": gated.recipe["data"]["train"], "split": {"validation": 0.2, "test": 0.2}}
    registry = load_registry(gated.plugins)
    whole = as_written(load_recipe(gated.write(), registry), registry)
    arm, plan = build_arm(whole, registry, "arm", False), build_plan(whole, registry)
    assert {node.key for node in arm.stages} <= {node.key for node in plan.nodes}
    assert not {node.key for node in arm.measured} & {node.key for node in plan.nodes}


def test_evaluations_of_other_rows_are_not_compared(tmp_path: Path) -> None:
    from hft_core import DataError
    from hft_core.evidence import evaluation
    from hft_core.pipeline.steps.gate import compared
    from hft_plugins.metrics.classification import Accuracy

    metric = Accuracy(type="accuracy")
    truths = [{"label": "a"}, {"label": "b"}]
    for name, rows in (("one", "x"), ("other", "y")):
        evaluation.save(tmp_path / name, "test", [metric], truths, truths, None, {"labels": ["a", "b"]}, rows)
    one, other = [tmp_path / "one"], [tmp_path / "other"]
    assert compared(metric, 0, False, "test", one, one, {"labels": ["a", "b"]}).difference == 0
    for first, second in ((one, other), ([*one, *other], [*one, *other])):
        with pytest.raises(DataError, match="different rows of test"):
            compared(metric, 0, False, "test", first, second, {"labels": ["a", "b"]})
