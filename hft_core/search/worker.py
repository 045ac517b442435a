"""The process of one trial: `python -m hft_core.search.worker`, with its recipe on the first line of standard input.

It trains the recipe on the store that all trials share, and measures it on validation; test labels are not read. It writes
a line of JSON for each figure of the curve and waits for `true` (go on) or `false`; the last line has what became of it.
Where standard input ends, the search has died: it stops as at SIGTERM, with a checkpoint.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from hft_core.errors import HftError, Interrupted, LockedError, PluginError, exit_code
from hft_core.pipeline.gates_run import Carrier
from hft_core.pipeline.jsonl import read_lines
from hft_core.pipeline.nodes import Node
from hft_core.pipeline.plan_arms import Arm, build_arm, deciding
from hft_core.pipeline.progress import Lines, Progress, Several
from hft_core.pipeline.run import typed_errors
from hft_core.pipeline.steps.common import read_json
from hft_core.pipeline.steps.gate import figures
from hft_core.pipeline.steps.record import FILE
from hft_core.recipe.load import load_recipe
from hft_core.recipe.plugins import registry_for
from hft_core.search.identity import plugin_code
from hft_core.store.store import Store
from hft_core.training.stopping import watch

Send = Callable[[Mapping[str, Any]], None]


class Pruned(HftError):
    """The trial is to end: others were better at the same epoch."""


class ChangedError(PluginError):
    """A plugin has changed since the search began: no trial can go on as the earlier ones did."""


class Curve(Progress):
    """Reports the deciding figure after each epoch of the first seed, and asks whether to go on."""

    def __init__(self, nodes: Sequence[Node], store: Store, title: str, seed: int, ask: Callable[[int, float], None]):
        self._nodes = {node.name: node for node in nodes}
        self._store, self._title, self._seed, self._ask = store, title, seed, ask
        self._epoch = 0
        self._node: Node | None = None
        self.made: list[Node] = []
        """The stages that were trained here, and not found in the store."""

    def node(self, number: int, total: int, name: str) -> None:
        """A node begins."""
        self._node = self._nodes[name]

    def tell(self, event: str, fields: Mapping[str, Any]) -> None:
        """Something happened within a stage."""
        if event == "resumed":
            self._measured(fields["earlier"])
        elif event == "validation":
            self._measured([fields])

    def reused(self) -> None:
        """The stage was in the store: its curve is that of a trained one."""
        if self._node is not None and self._node.kind == "stage":
            self._measured(read_lines(self._store.folder(self._node.key) / FILE))

    def done(self) -> None:
        """The node was made."""
        if self._node is not None and self._node.kind == "stage":
            self.made.append(self._node)

    def forget(self) -> None:
        """Remove the checkpoints of a stage that will not be ended, unless another process is at it."""
        if self._node is not None:
            with suppress(LockedError), self._store.lock(self._node.key, lambda text: None, wait=False):
                shutil.rmtree(self._store.work(self._node.key), ignore_errors=True)

    def _measured(self, lines: Sequence[Mapping[str, Any]]) -> None:
        if self._node is None or self._node.parts["settings"]["seed"] != self._seed:
            return
        for line in lines:
            figure = line.get("figures", {}).get(self._title)
            if figure is not None:
                self._epoch += 1
                self._ask(self._epoch, figure)


def main() -> None:
    """Carry out the trial that standard input describes."""
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print goes to the log, and not among the lines
    job = json.loads(sys.stdin.readline())
    answers: queue.Queue[bool | None] = queue.Queue()
    threading.Thread(target=_listen, args=(answers,), daemon=True).start()

    def send(line: Mapping[str, Any]) -> None:
        _write(lines, line)

    def ask(epoch: int, figure: float) -> None:
        send({"event": "figure", "epoch": epoch, "figure": figure})
        answer = answers.get()
        if answer is None:
            raise Interrupted("the search that this trial belongs to has ended")
        if not answer:
            raise Pruned(f"ended after epoch {epoch}: others were better")

    began = time.monotonic()
    try:
        ending = _trial(job, send, ask)
    except (HftError, KeyboardInterrupt, MemoryError, OSError) as error:
        ending = {"event": "error", "code": exit_code(error), "text": str(error) or type(error).__name__}
        ending["of_all"] = isinstance(error, ChangedError)
    except Exception as error:
        traceback.print_exc()
        ending = {"event": "error", "code": HftError.exit_code, "text": f"{type(error).__name__}: {error}"}
    used = os.times()
    cpu = used.user + used.system + used.children_user + used.children_system
    with suppress(Interrupted):
        send({**ending, "seconds": round(time.monotonic() - began, 1), "cpu_seconds": round(cpu, 1)})
    sys.stdout.flush()
    os._exit(0)  # the listening thread waits in a read that nothing ends


def _trial(job: Mapping[str, Any], send: Send, ask: Callable[[int, float], None]) -> dict[str, Any]:
    folder, store = Path(job["folder"]), Store(Path(job["store"]))
    registry = registry_for(job["recipe"], job["plugins"], job["disabled"], folder=folder)
    loaded = load_recipe(job["recipe"], registry, folder=folder)
    _require_same_code(plugin_code([loaded], registry), job["code"])
    best = deciding(loaded, registry)[0]
    terminal = Lines(sys.stderr)
    with typed_errors(registry, store.root), watch(terminal.say) as stop:
        arm = build_arm(loaded, registry, job["title"], folds=False)
        send({"event": "keys", "keys": [node.key for node in arm.nodes]})
        curve = Curve(arm.nodes, store, best.title, loaded.recipe.seed, ask)
        with Carrier(store, Several(terminal, curve), stop, wait=True) as carrier:
            try:
                carrier.make(arm.nodes)
            except Pruned as error:
                curve.forget()
                return {"event": "pruned", "text": str(error)}
    measured = [store.folder(node.key) for node in arm.measured]
    values = figures(best.metric, measured)
    return {
        "event": "complete",
        "figure": sum(values) / len(values),
        "seeds": values,
        "rows": read_json(measured[0] / "validation.json")["rows"],
        "trained": len(curve.made),
        "stages": len(arm.stages),
        "stage_seconds": round(sum(_took(arm, store)), 1),
    }


def _require_same_code(here: Mapping[str, str], known: Mapping[str, str]) -> None:
    if changed := [name for name, code in here.items() if known.get(name) != code]:
        raise ChangedError(
            f"the code of {', '.join(changed)} has changed since the search began; put it back to go on, or begin another with "
            "`search: {study: NAME}`"
        )


def _took(arm: Arm, store: Store) -> list[float]:
    """Seconds that each stage of the arm took to train, whoever trained it."""
    return [float(read_json(store.folder(node.key) / "stage.json")["seconds"]) for node in arm.stages]


def _listen(answers: queue.Queue[bool | None]) -> None:
    """Pass answers on; at the end of standard input stop the trial."""
    for line in sys.stdin:
        answers.put(bool(json.loads(line)))
    answers.put(None)
    os.kill(os.getpid(), signal.SIGTERM)


def _write(lines: IO[str], line: Mapping[str, Any]) -> None:
    try:
        lines.write(json.dumps(line, ensure_ascii=False) + "\n")
        lines.flush()
    except BrokenPipeError:
        raise Interrupted("the search that this trial belongs to has ended") from None


if __name__ == "__main__":
    main()
