"""Trackers: what a run measures is sent on to TensorBoard, MLflow, … through accelerate's classes.

A tracker is never worth a run. Each has a thread of its own, so that a slow server does not slow training down; one that
fails or does not answer is named once, and left out from then on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Any, Self

from hft_core.pipeline.journal import Journal
from hft_core.pipeline.progress import Progress
from hft_core.pipeline.steps.record import MEASURED
from hft_core.recipe.load import LoadedRecipe
from hft_core.recipe.trackers import MLflow, TensorBoard, Tracker, Trackio, WandB

PATIENCE = 30.0
"""Seconds that a tracker has at the end to send what it still holds."""

Key = tuple[str | None, int | None, str]


class Trackers(Progress):
    """Sends the lines of metrics.jsonl on. A context: at its end the trackers are finished.

    A step of a tracker counts over all stages, for most of them want steps that only grow. What an earlier try of the run
    has measured is not sent again, except to a tracker that was left out there. Nothing is sent, and no tracker starts,
    before something new is measured.
    """

    def __init__(self, loaded: LoadedRecipe, journal: Journal, target: Path, warn: Callable[[str], None]):
        self._journal, self._warn = journal, warn
        run = f"{loaded.recipe.name}-{journal.identity[:8]}"
        config = dict(_scalars(loaded.raw, ""))
        self._workers = []
        for tracker in loaded.recipe.trackers:
            known = tracker.type in journal.tracked
            make = _maker(tracker, loaded.recipe.name, run, target.parent)
            # TensorBoard would show settings as a run of its own.
            settings = {} if known or isinstance(tracker, TensorBoard) else config
            self._workers.append(_Worker(tracker.type, make, settings, _last(journal.measured) if known else {}))
        self._several_seeds = loaded.recipe.evaluate.seeds > 1
        self._waiting: list[tuple[Mapping[str, Any], int, dict[str, float]]] = []
        self._steps_before = self._steps = 0
        self._started = False

    def __enter__(self) -> Self:
        return self

    def node(self, number: int, total: int, name: str) -> None:
        """Another node begins: its steps come behind those of the stages before."""
        self._steps_before, self._steps = self._steps_before + self._steps, 0

    def reused(self) -> None:
        """The figures of a stage that was trained earlier wait until something new is measured."""
        self._add(self._journal.latest)

    def tell(self, event: str, fields: Mapping[str, Any]) -> None:
        """Something was measured."""
        self._add(self._journal.latest if event in (*MEASURED, "resumed") else [])
        if event in MEASURED:
            self._send()

    def _add(self, lines: Iterable[Mapping[str, Any]]) -> None:
        for line in lines:
            self._steps = max(self._steps, line["step"])
            values = _values(line, self._several_seeds)
            self._waiting.append((line, self._steps_before + line["step"], values))

    def _send(self) -> None:
        for worker in self._workers:
            for line, step, values in self._waiting:
                worker.log(line, step, values)
        self._waiting.clear()
        self._started = True
        self._drop_failed()

    def _drop_failed(self) -> None:
        for worker in [worker for worker in self._workers if worker.problem]:
            self._workers.remove(worker)
            self._journal.tell("tracker-left-out", {"type": worker.name, "problem": worker.problem})
            self._warn(f"warning: tracker {worker.name} is left out from now on, the run goes on: {worker.problem}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers if self._started else ():
            worker.ask_to_finish()
        for worker in self._workers if self._started else ():
            worker.wait(PATIENCE)
        self._drop_failed()


class _Worker:
    """One tracker in its thread."""

    def __init__(self, name: str, make: Callable[[], Any], config: Mapping[str, Any], sent: Mapping[Key, int]):
        self.name, self._make, self._config, self._sent = name, make, config, sent
        self.problem = ""
        self._values: SimpleQueue[tuple[dict[str, float], int] | None] = SimpleQueue()
        self._thread: Thread | None = None

    def log(self, line: Mapping[str, Any], step: int, values: dict[str, float]) -> None:
        """Send a line's values, unless an earlier try has sent them."""
        if self._thread is None:
            # A daemon: the process does not wait for one that hangs.
            self._thread = Thread(target=self._work, name=f"hft-tracker-{self.name}", daemon=True)
            self._thread.start()
        if values and line["step"] > self._sent.get(_key(line), -1):
            self._values.put((values, step))

    def ask_to_finish(self) -> None:
        """Let it finish when all is sent."""
        self._values.put(None)

    def wait(self, seconds: float) -> None:
        """Give it time to do so."""
        if self._thread is not None:
            self._thread.join(seconds)
            if self._thread.is_alive():
                self.problem = f"it did not finish within {seconds:.0f} seconds"

    def _work(self) -> None:
        try:
            tracker = self._make()
            tracker.start()
            if self._config:
                tracker.store_init_configuration(dict(self._config))
            while (item := self._values.get()) is not None:
                tracker.log(item[0], step=item[1])
            tracker.finish()
        except BaseException as error:  # some call sys.exit
            self.problem = f"{type(error).__name__}: {error}"


def _maker(tracker: Tracker, name: str, run: str, beside: Path) -> Callable[[], Any]:
    """Give what makes accelerate's tracker; the run's name is the same in each try, so that a run is continued."""

    def make() -> Any:
        from accelerate.tracking import LOGGER_TYPE_TO_CLASS

        cls = LOGGER_TYPE_TO_CLASS[tracker.type]
        if isinstance(tracker, TensorBoard):
            return cls(run, tracker.folder or str(beside / "tensorboard"))
        if isinstance(tracker, MLflow):
            experiment = tracker.experiment or name
            return cls(experiment_name=experiment, run_name=run, **_of_mlflow(tracker, experiment, run))
        if isinstance(tracker, WandB):
            import wandb

            mode = {"mode": "offline"} if tracker.offline else {}
            quiet = wandb.Settings(console="off", silent=True)
            return cls(
                tracker.project or name, name=run, id=run, resume="allow", entity=tracker.entity, dir=str(beside),
                settings=quiet, **mode,
            )  # fmt: skip
        assert isinstance(tracker, Trackio)
        return cls(tracker.project or name, name=run, resume="allow", space_id=tracker.space, embed=False)

    return make


def _of_mlflow(tracker: MLflow, experiment: str, run: str) -> dict[str, Any]:
    """A server chooses ids itself, so an earlier try is found by a tag."""
    import mlflow

    if tracker.uri:
        mlflow.set_tracking_uri(tracker.uri)
    found = mlflow.search_runs(
        experiment_names=[experiment], filter_string=f"tags.hft_run = '{run}'", max_results=1, output_format="list"
    )
    return {"run_id": found[0].info.run_id} if found else {"tags": {"hft_run": run}}


def _last(lines: Iterable[Mapping[str, Any]]) -> dict[Key, int]:
    """The last step of each stage that was measured."""
    last: dict[Key, int] = {}
    for line in lines:
        last[_key(line)] = max(line["step"], last.get(_key(line), -1))
    return last


def _key(line: Mapping[str, Any]) -> Key:
    return line["stage"], line["seed"], line["kind"]


def _values(line: Mapping[str, Any], seeds: bool) -> dict[str, float]:
    """A line's numbers by names that all trackers take, such as `tune/loss/classification`."""
    stage = f"{line['stage']}/seed{line['seed']}" if seeds else line["stage"]
    numbers = {f"loss/{name}": value for name, value in line.get("loss", {}).items()}
    numbers |= {f"validation/{name}": value for name, value in line.get("figures", {}).items()}
    numbers |= {name: line.get(name) for name in ("lr", "epoch", "rows_per_second", "tokens_per_second")}
    return {
        re.sub(r"[^\w/.\-]+", "_", f"{stage}/{name}").strip("_"): value
        for name, value in numbers.items()
        if value is not None
    }


def _scalars(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The settings of a recipe by their paths, such as `stages.1.optimizer.lr`."""
    if isinstance(value, (dict, list)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _scalars(item, f"{path}.{key}".strip("."))
    elif isinstance(value, (str, bool, int, float)):
        yield path, value
