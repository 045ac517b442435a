"""Trackers get what metrics.jsonl has, once; one that fails costs a warning and no result."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker

from hft_core.errors import PluginError, RecipeError
from hft_core.pipeline import trackers
from hft_core.pipeline.progress import Progress
from hft_core.recipe import load_recipe
from hft_core.recipe.trackers import Tracker
from hft_core.registry import load_registry


class Crash(BaseException):
    """What ends a run as a kill would."""


class Told(Progress):
    """Remembers what is said; ends the run in a step of the stage `tune`."""

    def __init__(self, crash_at: int | None = None) -> None:
        self.said: list[str] = []
        self.crash_at, self.name = crash_at, ""

    @property
    def warnings(self) -> list[str]:
        return [text for text in self.said if text.startswith("warning: tracker")]

    def node(self, number: int, total: int, name: str) -> None:
        self.name = name

    def say(self, text: str) -> None:
        self.said.append(text)

    def advance(self, step: int, steps: int, figures: dict[str, float]) -> None:
        if self.name == "stage tune" and step == self.crash_at:
            raise Crash


class Rows(GeneralTracker):
    """A tracker that appends a row per value to a file per run."""

    name = "trackio"
    requires_logging_directory = False
    main_process_only = False
    folder: Path
    fails_in = ""

    def __init__(self, project: str, **settings: Any):
        self._failing("__init__")
        super().__init__()
        self.file = self.folder / f"{settings['name']}.csv"

    def _failing(self, call: str) -> None:
        if self.fails_in == call:
            raise ConnectionError(f"no answer in {call}")

    @property
    def tracker(self) -> Any:
        return self.file

    def start(self) -> None:
        self._failing("start")
        self.write("started", 0, 0)

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self._failing("store_init_configuration")
        self.write("configured", 0, len(values))

    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        self._failing("log")
        if step == 9:
            self._failing("log in the middle")
        for name, value in values.items():
            self.write(name, step, value)

    def finish(self) -> None:
        self._failing("finish")
        if self.fails_in == "never":
            threading.Event().wait()
        self.write("finished", 0, 0)

    def write(self, *row: Any) -> None:
        with self.file.open("a", encoding="utf-8") as stream:
            stream.write(",".join(map(str, row)) + "\n")

    @classmethod
    def rows(cls) -> list[list[str]]:
        [file] = cls.folder.glob("*.csv")
        return [line.split(",") for line in file.read_text("utf-8").splitlines()]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type[Rows]:
    """The fake stands in for trackio, as if that were installed."""
    folder = tmp_path / "tracked"
    folder.mkdir()
    made = type("Rows", (Rows,), {"folder": folder})
    monkeypatch.setitem(LOGGER_TYPE_TO_CLASS, "trackio", made)
    monkeypatch.setattr(Tracker, "missing", lambda self: False)
    return made


def measured(folder: Path) -> list[tuple[str, int, float]]:
    """What a tracker should have of a run: name, step over all stages, value."""
    found = []
    for line in map(json.loads, (folder / "metrics.jsonl").read_text("utf-8").splitlines()):
        step = line["step"] + (5 if line["stage"] == "tune" else 0)
        for name, value in line.get("loss", {}).items():
            found.append((f"{line['stage']}/loss/{name}", step, value))
        for name, value in line.get("figures", {}).items():
            clean = name.replace("[", "_").replace(" ", "_").replace("]", "")
            found.append((f"{line['stage']}/validation/{clean}", step, value))
    return found


def sent(rows: list[list[str]]) -> list[tuple[str, int, float]]:
    return [(name, int(step), float(value)) for name, step, value in rows if "/loss/" in name or "/validation/" in name]


def test_a_tracker_gets_what_is_measured(project: Any, fake: type[Rows]) -> None:
    progress = Told()
    run = project.run(trackers=["trackio"], progress=progress)
    rows = fake.rows()
    assert [rows[0][0], rows[1][0], rows[-1][0]] == ["started", "configured", "finished"]
    assert sent(rows) == measured(run.folder)
    assert len(sent(rows)) > 20
    assert [row[1] for row in rows if row[0] == "tune/lr"] == [str(step) for step in range(6, 18)]
    assert not progress.warnings


@pytest.mark.slow
@pytest.mark.parametrize(
    "call", ["__init__", "start", "store_init_configuration", "log", "log in the middle", "finish", "never"]
)
def test_a_tracker_that_fails_costs_one_warning(
    call: str, project: Any, fake: type[Rows], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that never comes to an end. The other one goes on."""
    other = type("Other", (fake,), {"folder": fake.folder.with_name("other")})
    other.folder.mkdir()
    monkeypatch.setitem(LOGGER_TYPE_TO_CLASS, "tensorboard", lambda run, folder: other("", name=run))
    fake.fails_in = call
    other.fails_in = ""
    if call == "never":
        monkeypatch.setattr(trackers, "PATIENCE", 0.5)
    progress = Told()
    run = project.run(trackers=[{"type": "trackio"}, {"type": "tensorboard"}], progress=progress)
    [warning] = progress.warnings
    assert "tracker trackio is left out from now on" in warning
    assert ("did not finish" if call == "never" else f"ConnectionError: no answer in {call}") in warning
    assert run.metrics["validation"]
    assert sent(other.rows()) == measured(run.folder)
    events = [json.loads(line) for line in (run.folder / "events.jsonl").read_text("utf-8").splitlines()]
    assert [event["text"] for event in events if event.get("text", "").startswith("warning: tracker")] == [warning]
    assert (events[-1]["event"], events[-1]["exit_code"]) == ("end", 0)


def test_a_continued_run_goes_on_in_the_same_place(project: Any, fake: type[Rows]) -> None:
    """What was sent is not sent again, and what had not been is."""
    project.recipe["stages"][1]["checkpoint_minutes"] = 0
    with pytest.raises(Crash):
        project.run(trackers=["trackio"], progress=Told(crash_at=8))
    work = next((project.folder / ".hft" / "work").glob("*/step-000000007"))
    (work / "state.json").write_text("damaged", encoding="utf-8")
    run = project.run(trackers=["trackio"])
    rows = fake.rows()
    assert [row[0] for row in rows].count("configured") == 1
    assert [row[0] for row in rows].count("started") == 2
    assert sent(rows) == measured(run.folder)


def test_a_tracker_that_comes_later_gets_everything(project: Any, fake: type[Rows]) -> None:
    project.recipe["stages"][1]["checkpoint_minutes"] = 0
    with pytest.raises(Crash):
        project.run(progress=Told(crash_at=8))
    run = project.run(trackers=["trackio"])
    assert sent(fake.rows()) == measured(run.folder)


def test_trackers_change_no_key_and_nothing_is_sent_where_nothing_is_made(project: Any, fake: type[Rows]) -> None:
    assert project.plan() == project.plan(trackers=["trackio"])
    project.run()
    project.run(trackers=["trackio"])
    assert not list(fake.folder.iterdir())


def test_tensorboard_files_of_a_killed_run_read_as_one(project: Any) -> None:
    pytest.importorskip("tensorboard", reason="needs the extra `tensorboard`")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    project.recipe["stages"][1] |= {"checkpoint_minutes": 0, "name": "tune"}
    with pytest.raises(Crash):
        project.run(trackers=["tensorboard"], progress=Told(crash_at=8))
    run = project.run(trackers=[{"type": "tensorboard"}])
    [folder] = (project.folder / "runs" / "tensorboard").iterdir()
    assert folder.name.startswith("small-")
    assert len(list(folder.glob("events.out.tfevents.*"))) == 2, "one per try"
    board = EventAccumulator(str(folder)).Reload()
    wanted = measured(run.folder)
    found = [(tag, item.step, item.value) for tag in board.Tags()["scalars"] for item in board.Scalars(tag)]
    kept = [item for item in found if "/loss/" in item[0] or "/validation/" in item[0]]
    assert sorted(item[:2] for item in kept) == sorted(item[:2] for item in wanted)
    assert sorted(item[2] for item in kept) == pytest.approx(sorted(item[2] for item in wanted), rel=1e-6)


def test_a_tracker_that_is_not_installed_is_found_before_anything_runs(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tracker, "missing", lambda self: self.type == "mlflow")
    with pytest.raises(
        PluginError, match=r'trackers\.1: tracker mlflow is not installed; run: pip install "hft-core\['
    ):
        load_recipe(project.write(trackers=["tensorboard", "mlflow"]), load_registry())


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (["tensorbord"], "there is no tracker 'tensorbord'; did you mean 'tensorboard'? There are tensorboard, mlflow"),
        ([{"folder": "x"}], "'type' is missing; a tracker is one of tensorboard"),
        (
            [{"type": "wandb", "ofline": True}],
            "unknown key 'ofline'; did you mean 'offline'? Known here: type, project",
        ),
        ([{"type": "wandb", "offline": "perhaps"}], "expected true or false, found 'perhaps'"),
        ([3], "expected settings like {key: value}, found 3"),
        (["wandb", {"type": "wandb"}], "trackers.1: the tracker wandb is there already"),
    ],
)
def test_mistakes_are_explained(written: Any, message: str, project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tracker, "missing", lambda self: False)
    with pytest.raises(RecipeError) as caught:
        load_recipe(project.write(trackers=written), load_registry())
    assert message in str(caught.value)


def test_a_folder_starts_beside_the_recipe(project: Any) -> None:
    written = [{"type": "tensorboard", "folder": "boards"}]
    loaded = load_recipe(project.write(trackers=written), load_registry())
    assert loaded.recipe.trackers[0].folder == str(project.folder / "boards")
