"""The log of a run: events.jsonl (what happened) and metrics.jsonl (what was measured), readable while it goes on.

They grow in `NAME.live`, for the run folder is written at the end, and become part of it. The metrics of a stage are kept
with its outputs and checkpoints (see steps/record); metrics.jsonl is put together of them anew in each try, so it is that
of an uninterrupted run. Events are added to those of earlier tries.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hft_core.errors import DamagedError, HftError, Interrupted, LockedError, exit_code
from hft_core.pipeline.jsonl import JsonLines, now, read_lines
from hft_core.pipeline.nodes import Node
from hft_core.pipeline.plan import Plan
from hft_core.pipeline.progress import Progress
from hft_core.pipeline.steps.common import read_json
from hft_core.pipeline.steps.record import FILE as METRICS
from hft_core.pipeline.steps.record import MEASURED
from hft_core.store.hashing import digest_json
from hft_core.store.store import Store

EVENTS = "events.jsonl"
FORMAT = 1
"""Of both files. Grows when a key goes or changes its meaning; new keys and new events may come without it."""
_ABANDONED = 1000


class Journal(Progress):
    """Writes the log of one try of a run. A context: it ends with the try, and tells how that ended."""

    def __init__(
        self,
        name: str,
        plan: Plan,
        store: Store,
        target: Path,
        warn: Callable[[str], None],
        trackers: Sequence[str] = (),
        texts: bool = True,
    ):
        self._trackers = list(trackers)
        self._texts = texts
        self._nodes: dict[str, Node] = {}
        self.name, self.plan, self._store, self._target, self._warn = name, plan, store, target, warn
        self.identity = digest_json(sorted(node.key for node in plan.nodes))
        """The same for all tries of a run, and for no other run."""
        self._node: Node | None = None
        self._began = self._node_began = time.monotonic()
        self._measured = False
        self.latest: list[dict[str, Any]] = []
        """The lines of metrics.jsonl that were written last."""
        self._held = ExitStack()
        self.live = self._free_place()
        self._continue_or_clear()
        self._events = JsonLines(self.live / EVENTS, warn)
        self._metrics = JsonLines(self.live / METRICS, warn)

    @property
    def plan(self) -> Plan:
        """The plan of the run; gates may settle on another than the one that it began with."""
        return self._plan

    @plan.setter
    def plan(self, plan: Plan) -> None:
        self._plan = plan
        self.expect(plan.nodes)

    def expect(self, nodes: Sequence[Node]) -> None:
        """Learn of nodes that are carried out beside the plan's own."""
        self._nodes |= {node.name: node for node in nodes}

    # ---- where it lies ----

    def _free_place(self) -> Path:
        """`NAME.live`, or a place of this process's own while another one writes there."""
        live = self._target.with_name(f"{self._target.name}.live")
        try:
            self._held.enter_context(self._store.lock(digest_json(str(live.absolute())), lambda text: None, wait=False))
        except LockedError:
            return self._target.with_name(f"{self._target.name}.live-{os.getpid()}")
        return live

    def _continue_or_clear(self) -> None:
        """Add to the log of an earlier try of this run; that of another run which never ended gives way.

        It is kept as NAME.live.1, … where something was measured.
        """
        earlier = read_lines(self.live / EVENTS)
        begun = [event for event in earlier if event.get("event") == "begin"]
        self.continued = bool(begun) and begun[-1].get("identity") == self.identity
        self._earlier = earlier if self.continued else []
        self._told: list[dict[str, Any]] = []
        self.measured = read_lines(self.live / METRICS) if self.continued else []
        """What earlier tries have measured, also beyond the checkpoint that they left."""
        lost = {event.get("type") for event in self._earlier if event.get("event") == "tracker-left-out"}
        self.tracked = set(begun[-1].get("trackers", ())) - lost if self.continued else set()
        """The trackers that know of it."""
        if self.continued or not self.live.is_dir():
            return
        with suppress(OSError):
            if read_lines(self.live / METRICS):
                places = (self.live.with_name(f"{self.live.name}.{number}") for number in range(1, _ABANDONED))
                self.live.rename(next(place for place in places if not place.exists()))
            else:
                shutil.rmtree(self.live)

    # ---- events ----

    def __enter__(self) -> Self:
        from importlib.metadata import version

        self._events.begin(self._earlier)
        self._event(
            "begin",
            run=self.name,
            format=FORMAT,
            identity=self.identity,
            continued=self.continued,
            hft=version("hft-core"),
            process=os.getpid(),
            nodes=len(self._nodes),
            precision=self.plan.precision,
            trackers=self._trackers,
        )
        return self

    def node(self, number: int, total: int, name: str) -> None:
        """A node begins."""
        self._node, self._node_began = self._nodes[name], time.monotonic()
        self._event("node-begun", number=number, of=total)

    def reused(self) -> None:
        """The node's output was in the store, and a stage's figures with it."""
        self.latest = []
        self._event("node-reused")
        if self._node is not None:
            self._measure(_kept(self._store, self._node))
        self._exported()
        self._node = None

    def done(self) -> None:
        """The node was made."""
        self._event("node-done", took=round(time.monotonic() - self._node_began, 3))
        self._exported()
        self._node = None

    def say(self, text: str) -> None:
        """A message."""
        self._event("message", text=text)

    def tell(self, event: str, fields: Mapping[str, Any]) -> None:
        """Something happened within a stage."""
        if event in MEASURED:
            self._measure([fields])
        if event == "resumed":
            self._measure(fields["earlier"])
        if event != "train":
            self._event(event, **{key: fields[key] for key in fields if key not in ("kind", "time", "earlier")})

    def _exported(self) -> None:
        """Say which variants of an export were written, and which were refused."""
        if self._node is None or self._node.kind != "export":
            return
        section = read_json(self._store.folder(self._node.key) / "section.json") or {}
        written = (section.get("data") or {}).get("precisions")
        self._event("export", written=written, refused=section.get("refused", []))

    def _event(self, event: str, **fields: Any) -> None:
        place = {"node": self._node.name if self._node else None, **_labels(self._node)}
        seconds = round(time.monotonic() - self._began, 3)
        self._told.append({"time": now(), "event": event, "seconds": seconds, **place, **fields})
        self._events.append(self._told[-1])

    def _measure(self, lines: Iterable[Mapping[str, Any]]) -> None:
        if self._node is None or self._node.kind != "stage":
            return
        self.latest = list(_labelled(self.name, self._node, lines))
        if self._measured:
            self._metrics.append(*self.latest)
        else:  # what an earlier try has left stands until here
            self._metrics.begin(self.latest)
        self._measured = True

    # ---- the end ----

    def settle(self, folder: Path, earlier: Path | None) -> None:
        """Put both files into a finished run's `folder`, the events behind those of `earlier`, the same run's folder."""
        metrics = [
            line
            for node in dict.fromkeys(node.name for chain in self.plan.stages for node in chain)
            for line in _labelled(self.name, self._nodes[node], _kept(self._store, self._nodes[node]))
        ]
        refused = bool(read_json(folder / "report.json").get("refused"))
        self._event("end", state="done", exit_code=DamagedError.exit_code if refused else 0)
        events = [*(read_lines(earlier / EVENTS) if earlier else []), *self._earlier, *self._told]
        for name, lines in ((EVENTS, events), (METRICS, metrics)):
            file = JsonLines(folder / name, self._warn)
            file.begin(lines)
            file.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            stopped = isinstance(error, (Interrupted, KeyboardInterrupt))
            state = "interrupted" if stopped else "failed"
            said = str(error) if isinstance(error, HftError) else f"{type(error).__name__}: {error}"
            if not self._texts:
                said = f"{type(error).__name__}; what it says may quote the data, which `report: {{texts: false}}` keeps out"
            if self._node is not None:
                self._event(f"node-{state}")
            self._node = None
            self._event("end", state=state, exit_code=exit_code(error), error=said)
        self._events.close()
        self._metrics.close()
        own = self.live.name.endswith(f".live-{os.getpid()}")  # nobody would find it again
        if error is None or (own and not self._measured):
            shutil.rmtree(self.live, ignore_errors=True)
        self._held.close()


def _labels(node: Node | None) -> dict[str, Any]:
    """The name and the seed of a stage, as the recipe has them; both null outside of stages."""
    if node is None or node.kind != "stage":
        return {"stage": None, "seed": None}
    seed = node.parts["settings"]["seed"]
    return {"stage": node.name.removeprefix("stage ").removesuffix(f" (seed {seed})"), "seed": seed}


def _labelled(run: str, node: Node, lines: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for line in lines:
        yield {"format": FORMAT, "run": run, **_labels(node), **line}


def _kept(store: Store, node: Node) -> list[dict[str, Any]]:
    """What a finished stage has measured."""
    return read_lines(store.folder(node.key) / METRICS) if node.kind == "stage" else []
