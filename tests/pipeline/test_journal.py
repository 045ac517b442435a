"""events.jsonl and metrics.jsonl: readable while a run goes on, whole at its end, and those of an uninterrupted run."""

from __future__ import annotations

import json
import shutil
import signal
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import hft_core
from hft_core.pipeline.journal import Journal
from hft_core.pipeline.jsonl import JsonLines
from hft_core.pipeline.progress import Progress
from hft_core.pipeline.run import store_of

pytestmark = pytest.mark.slow


class Crash(BaseException):
    """What ends a run as a kill would: nothing catches it."""


class CrashAt(Progress):
    """Ends the run in the step `step` of the stage `stage`."""

    def __init__(self, stage: str, step: int):
        self.stage, self.step, self.name = stage, step, ""

    def node(self, number: int, total: int, name: str) -> None:
        self.name = name

    def advance(self, step: int, steps: int, figures: dict[str, float]) -> None:
        if self.name == f"stage {self.stage}" and step == self.step:
            raise Crash


class Said(Progress):
    """Remembers what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def lines(file: Path) -> list[dict[str, Any]]:
    """Every line; one that is not JSON, or has a number that JSON does not know, is an error."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} in {file}")

    return [json.loads(line, parse_constant=refuse) for line in file.read_text("utf-8").splitlines()]


def timeless(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Metrics without what differs from try to try."""
    return [{k: v for k, v in record.items() if k != "time" and not k.endswith("_second")} for record in records]


def happened(folder: Path) -> list[str]:
    return [event["event"] for event in lines(folder / "events.jsonl")]


def live(project: Any) -> Path:
    return project.folder / "runs" / "small.live"


@pytest.fixture
def joint(project: Any) -> Any:
    """A pre-training stage of 5 steps, and a joint one of 12 with a Chinese name, each step with a checkpoint."""
    project.recipe["stages"][1] |= {
        "name": "调优",
        "objectives": [{"type": "task", "data": "train"}, {"type": "masked-lm", "data": "corpus", "weight": 0.3}],
        "checkpoint_minutes": 0,
    }
    return project


def test_every_line_says_when_what_and_where(joint: Any) -> None:
    run = joint.run()
    metrics, events = lines(run.folder / "metrics.jsonl"), lines(run.folder / "events.jsonl")
    assert not live(joint).exists()

    for stage, steps, names in (("adapt", 5, ["masked-lm"]), ("调优", 12, ["classification", "masked-lm"])):
        own = [line for line in metrics if line["stage"] == stage]
        points = [line for line in own if line["kind"] == "train"]
        assert [point["step"] for point in points] == list(range(1, steps + 1))
        for point in points:
            assert list(point["loss"]) == names
            assert {"lr", "epoch", "rows_per_second", "tokens_per_second"} <= set(point)
            assert point["steps"] == steps
        assert points[-1]["epoch"] == (1 if stage == "adapt" else 2)
        assert points[-1]["rows_per_second"] > 0
        assert points[-1]["tokens_per_second"] > points[-1]["rows_per_second"]
        measured = [line for line in own if line["kind"] == "validation"]
        assert [line["step"] for line in measured] == ([0, 5] if stage == "adapt" else [6, 12])
        assert all(line["figures"] for line in measured)
    for line in metrics:
        assert (line["format"], line["run"], line["seed"]) == (1, "small", 0)
        assert datetime.fromisoformat(line["time"]).tzinfo

    assert (events[0]["event"], events[0]["format"], events[0]["continued"]) == ("begin", 1, False)
    assert (events[-1]["event"], events[-1]["state"], events[-1]["exit_code"]) == ("end", "done", 0)
    for event in events:
        assert {"time", "event", "seconds", "node", "stage", "seed"} <= set(event)
        assert datetime.fromisoformat(event["time"]).tzinfo
        assert event["stage"] == {"stage adapt": "adapt", "stage 调优": "调优"}.get(event["node"])
    nodes = list(json.loads((run.folder / "run.json").read_text("utf-8"))["nodes"])
    assert [event["node"] for event in events if event["event"] == "node-begun"] == nodes
    ended = {event["node"]: event["event"] for event in events if event["event"] in ("node-done", "node-reused")}
    assert list(ended) == nodes
    assert ended["encode 调优.masked-lm"] == "node-reused"  # it is the other stage's
    assert ended["stage 调优"] == "node-done"
    best = [event for event in events if event["event"] == "validation" and event["stage"] == "调优"]
    assert [event["step"] for event in best] == [6, 12]
    assert best[0]["best"]
    assert best[0]["best_step"] == 6
    saved = [event["step"] for event in events if event["event"] == "checkpoint"]
    assert saved == list(range(1, 12))


def test_both_can_be_read_while_the_run_goes_on(project: Any) -> None:
    seen: list[tuple[int, list[int], list[str]]] = []

    class Reading(Progress):
        stage = ""

        def node(self, number: int, total: int, name: str) -> None:
            self.stage = name

        def advance(self, step: int, steps: int, figures: dict[str, float]) -> None:
            if self.stage == "stage tune" and step > 1:
                found = [line for line in lines(live(project) / "metrics.jsonl") if line["stage"] == "tune"]
                steps_seen = [line["step"] for line in found if line["kind"] == "train"]
                seen.append((step, steps_seen, happened(live(project))))

    project.run(progress=Reading())
    assert [step for step, _, _ in seen] == list(range(2, 13))
    for step, steps_seen, told in seen:
        assert steps_seen == list(range(1, step))
        assert told[0] == "begin"
        assert told.count("validation") == 2 + (step > 6)


def test_what_was_measured_after_the_checkpoint_is_not_there_twice(joint: Any, make_project: Any) -> None:
    whole = lines(joint.run().folder / "metrics.jsonl")
    broken = make_project("broken")
    broken.recipe = joint.recipe
    for step in (4, 9):
        with pytest.raises(Crash):
            broken.run(progress=CrashAt("调优", step))
    # Steps 7 and 8 were measured; the checkpoints behind them are lost.
    work = next(
        folder for folder in (broken.folder / ".hft" / "work").iterdir() if (folder / "step-000000008").exists()
    )
    shutil.rmtree(work / "step-000000008")
    (work / "step-000000007" / "tensors.safetensors").write_bytes(b"")
    assert [line["step"] for line in lines(live(broken) / "metrics.jsonl")][-1] == 8
    (broken.folder / "runs" / "small.live" / "events.jsonl").open("a").write('{"time": "half a li')
    # The one before step 7 is not kept, so the stage starts anew.
    run = broken.run()
    assert timeless(lines(run.folder / "metrics.jsonl")) == timeless(whole)
    events = lines(run.folder / "events.jsonl")
    assert [event["event"] for event in events].count("begin") == 3
    assert [event["continued"] for event in events if event["event"] == "begin"] == [False, True, True]
    assert [event["step"] for event in events if event["event"] == "resumed"] == [3]
    assert [event["state"] for event in events if event["event"] == "end"] == ["failed", "failed", "done"]
    assert not live(broken).exists()


def test_a_resumed_stage_is_cut_at_its_checkpoint(joint: Any, make_project: Any) -> None:
    whole = lines(joint.run().folder / "metrics.jsonl")
    broken = make_project("broken")
    broken.recipe = joint.recipe
    with pytest.raises(Crash):
        broken.run(progress=CrashAt("调优", 9))
    work = next(
        folder for folder in (broken.folder / ".hft" / "work").iterdir() if (folder / "step-000000008").exists()
    )
    shutil.rmtree(work / "step-000000008")
    assert lines(work / "metrics.jsonl")[-1]["step"] == 8
    run = broken.run()
    assert [event["step"] for event in lines(run.folder / "events.jsonl") if event["event"] == "resumed"] == [7]
    assert timeless(lines(run.folder / "metrics.jsonl")) == timeless(whole)


@pytest.mark.slow
def test_a_kill_leaves_a_log_without_an_end_that_is_continued(joint: Any) -> None:
    recipe = joint.write()
    process = joint.command("run", str(recipe), "--set", "stages.1.epochs=100")
    for line in process.stderr:
        if "stage 调优: epoch 2" in line:
            break
    process.send_signal(signal.SIGKILL)
    process.communicate()
    left = happened(live(joint))
    assert "end" not in left
    run = joint.run("stages.1.epochs=100", "stages.1.checkpoint_minutes=5")
    assert happened(run.folder)[: len(left)] == left
    assert happened(run.folder).count("begin") == 2
    steps = [line["step"] for line in lines(run.folder / "metrics.jsonl") if line["stage"] == "调优"]
    assert steps == sorted(steps)
    points = [
        line for line in lines(run.folder / "metrics.jsonl") if (line["stage"], line["kind"]) == ("调优", "train")
    ]
    assert [point["step"] for point in points] == list(range(3, 601, 3))


def test_a_finished_run_that_is_run_again_keeps_its_log(project: Any) -> None:
    first = project.run()
    before, measured = happened(first.folder), lines(first.folder / "metrics.jsonl")
    again = project.run()
    after = happened(again.folder)
    assert after[: len(before)] == before
    assert after[len(before)] == "begin"
    assert "node-done" not in after[len(before) :]
    assert lines(again.folder / "metrics.jsonl") == measured


def test_another_run_does_not_get_the_log_but_the_figures_of_stages_that_it_shares(project: Any) -> None:
    first = project.run()
    project.recipe["stages"][0]["name"] = "first"  # a name is for people; the stage is reused
    second = project.run("stages.1.optimizer.lr=5e-4")
    assert happened(second.folder).count("begin") == 1
    assert happened(first.folder.with_name("small.1")).count("end") == 1
    before, after = lines(first.folder.with_name("small.1") / "metrics.jsonl"), lines(second.folder / "metrics.jsonl")
    shared = [line for line in before if line["stage"] == "adapt"]
    assert [line | {"stage": "adapt"} for line in after if line["stage"] == "first"] == shared
    assert timeless(after) != timeless(before)


@pytest.mark.parametrize(("stage", "kept"), [("tune", True), ("adapt", False)])
def test_a_run_that_was_given_up_makes_room_for_another(project: Any, stage: str, kept: bool) -> None:
    """Its log is kept where something was measured."""
    with pytest.raises(Crash):
        project.run(progress=CrashAt(stage, 1))
    if not kept:  # the text's loss before the first step is all there is
        (live(project) / "metrics.jsonl").unlink()
    run = project.run("stages.0.optimizer.lr=1e-4")
    assert happened(run.folder).count("begin") == 1
    assert (project.folder / "runs" / "small.live.1").is_dir() is kept
    assert not live(project).exists()


@pytest.mark.parametrize(
    ("override", "code", "state"),
    [("stages.1.optimizer={type: sgd, lr: 1e30}", 5, "failed"), ("stages.1.epochs=2", 75, "interrupted")],
)
def test_a_run_that_ends_early_says_how(project: Any, override: str, code: int, state: str) -> None:
    class Stop(CrashAt):
        def advance(self, step: int, steps: int, figures: dict[str, float]) -> None:
            if self.name == "stage tune" and step == 3 and state == "interrupted":
                signal.raise_signal(signal.SIGTERM)

    with pytest.raises(hft_core.HftError) as caught:
        project.run(override, "stages.1.clip=null", progress=Stop("tune", 0))
    assert caught.value.exit_code == code
    events = lines(live(project) / "events.jsonl")
    assert (events[-2]["event"], events[-2]["node"]) == (f"node-{state}", "stage tune")
    assert events[-1] | {"event": "end", "state": state, "exit_code": code, "error": str(caught.value)} == events[-1]


def test_a_refused_variant_is_told(project: Any) -> None:
    plugin = project.folder / "picky.py"
    plugin.write_text(
        """
from typing import Literal
from hft_core import Exporter, Section, hookimpl

class Picky(Exporter):
    \"\"\"Refuses.\"\"\"
    type: Literal["picky"]
    def export(self, net, run, folder, log):
        return Section(title="t", text="x", data={"precisions": ["fp32"]}, refused=["int8 was not written"])

@hookimpl
def register_exporters():
    return [Picky]
""",
        encoding="utf-8",
    )
    recipe = project.write(export=[{"type": "picky"}])
    for _ in range(2):  # made, and reused
        with pytest.raises(hft_core.DamagedError):
            hft_core.run(recipe, plugins=[plugin])
    events = lines(project.folder / "runs" / "small" / "events.jsonl")
    exports = [event for event in events if event["event"] == "export"]
    assert [(event["written"], event["refused"]) for event in exports] == [(["fp32"], ["int8 was not written"])] * 2
    assert (events[-1]["state"], events[-1]["exit_code"]) == ("done", 9)


def test_two_at_once_do_not_write_into_one_file(project: Any) -> None:
    plan, target = project.built(), project.folder / "runs" / "small"
    arguments = ("small", plan, store_of(project.folder), target, lambda text: None)
    with Journal(*arguments) as first:
        first.say("one")
        with Journal(*arguments) as second:
            second.say("two")
            first.say("three")
            assert second.live != first.live
            told = [
                [e["text"] for e in lines(j.live / "events.jsonl") if e["event"] == "message"] for j in (first, second)
            ]
            assert told == [["one", "three"], ["two"]]
        assert first.live.is_dir()
        assert not second.live.exists()
    with Journal(*arguments) as third:  # a lock does not outlive its journal
        assert third.live == live(project)


def test_a_log_that_cannot_be_written_costs_one_word_and_no_result(project: Any) -> None:
    live(project).parent.mkdir()
    live(project).write_text("a file, where the folder should be", encoding="utf-8")
    progress = Said()
    run = project.run(progress=progress)
    warnings = [text for text in progress.said if "cannot be written" in text]
    assert [Path(text.split()[1]).name for text in warnings] == ["events.jsonl", "metrics.jsonl"]
    assert all("the run goes on" in text for text in warnings)
    assert run.metrics["validation"]
    # The run folder can be written, and has both.
    assert happened(run.folder)[-1] == "end"
    assert [line["step"] for line in lines(run.folder / "metrics.jsonl")][-1] == 12


def test_the_log_of_a_stage_that_cannot_be_written_beside_its_checkpoints(project: Any) -> None:
    work = project.folder / ".hft" / "work" / project.plan()["stage tune"]
    (work / "metrics.jsonl").mkdir(parents=True)
    progress = Said()
    run = project.run(progress=progress)
    assert len([text for text in progress.said if "Is a directory" in text]) == 1
    assert [line["step"] for line in lines(run.folder / "metrics.jsonl") if line["stage"] == "tune"][-1] == 12


def test_a_full_disk_is_said_once() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    said: list[str] = []
    log = JsonLines(Path("/dev/full"), said.append)
    for number in range(3):
        log.append({"number": number})
    log.close()
    [warning] = said
    assert "/dev/full cannot be written (No space left on device)" in warning
