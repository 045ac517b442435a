"""Gates at work: carried out through the store as everything else, or looked up there."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from hft_core.components import Refusal
from hft_core.data.prepare import shares_of
from hft_core.data.table import count_rows
from hft_core.errors import NonFiniteError
from hft_core.pipeline.divergence import first_divergence, spared
from hft_core.pipeline.execute import execute
from hft_core.pipeline.gates import Decision, Gate, Settled, Verdict, as_written, has_gates, settle, told
from hft_core.pipeline.journal import Journal
from hft_core.pipeline.nodes import Node
from hft_core.pipeline.plan import Plan, build_plan
from hft_core.pipeline.plan_arms import MINIMUM_ROWS, Arm, deciding
from hft_core.pipeline.progress import Progress
from hft_core.pipeline.steps.common import read_json, write_json
from hft_core.pipeline.steps.gate import VERDICT, diverged
from hft_core.recipe.load import LoadedRecipe
from hft_core.recipe.sources import readers_of, split_of
from hft_core.registry import Registry
from hft_core.store.gc import in_use
from hft_core.store.store import Store, damage
from hft_core.training.allocator import earlier_objects_set_aside
from hft_core.training.stopping import StopRequest

_FIRST = ("prepare", "slices", "checks", "augment", "preprocessor", "encode", "trial")
"""Kinds of nodes that are made before any arm is trained: what is wrong with data or stages shows there."""


class Carrier:
    """Carries out the nodes of several plans one after the other; what it has made once it does not look at again."""

    def __init__(self, store: Store, progress: Progress, stop: StopRequest, wait: bool, journal: Journal | None = None):
        self.store, self.progress = store, progress
        self._stop, self._wait, self._journal = stop, wait, journal
        self._made: set[str] = set()
        self._kept: set[str] = set()
        self._held = ExitStack()

    def __enter__(self) -> Carrier:
        self._held.enter_context(earlier_objects_set_aside())
        return self

    def __exit__(self, *error: object) -> None:
        self._held.__exit__(*error)  # type: ignore[arg-type]  # what `with` gives

    def make(self, nodes: Sequence[Node], spare: bool = False) -> None:
        """Make nodes, and keep them from `hft gc` until the end; with `spare`, divergence of training is only noted."""
        wanted = [node for node in nodes if node.key not in self._made]
        if self._journal:
            self._journal.expect(wanted)
        self.keep([node.key for node in wanted])
        allowed = spared(wanted) if spare else frozenset()
        execute(wanted, self.store, self.progress, self._stop, self._wait, spared=allowed)
        self._made |= {node.key for node in wanted}

    def tried(self, arm: Arm) -> str | None:
        """Make an arm; gives how it diverged, if it did."""
        self.make(arm.nodes, spare=True)
        return first_divergence(self.store, arm.nodes)

    def keep(self, keys: Sequence[str]) -> None:
        """Keep outputs from `hft gc` until the end; those that are kept already would wait for themselves."""
        if wanted := [key for key in keys if key not in self._kept]:
            self._held.enter_context(in_use(self.store, wanted))
            self._kept.update(wanted)

    def prepare(self, plan: Plan) -> None:
        """Make what comes before training. Stages that give no numbers when they are tried are left to their arms."""
        first = [node for node in plan.nodes if node.kind in _FIRST]
        self.make([node for node in first if node.kind != "trial"])
        try:
            self.make([node for node in first if node.kind == "trial"])
        except NonFiniteError as error:
            self.progress.say(f"warning: {error}")

    def verdict(self, gate: Gate) -> Verdict:
        """Train both arms of a gate, unless it is settled already, and compare them."""
        if damage(self.store.folder(gate.node.key)):  # or it is not there
            without, kept = map(self.tried, gate.arms)
            if without or kept:
                self._note_divergence(gate.node.key, diverged(without, kept))
        self.make([gate.node])
        verdict = verdict_of(gate.node, self.store)
        kept = verdict["verdict"] == "helps"
        self.progress.say(told(Decision(gate.title, gate.place, verdict, kept)))
        return verdict

    def _note_divergence(self, key: str, verdict: Verdict) -> None:
        """Settle a gate of which an arm diverged: there are no figures to compare."""
        with self.store.lock(key, self.progress.say, self._wait, lambda: self._stop.asked):
            if not self.store.sound(key):
                self.store.write(key, lambda out: write_json(out / VERDICT, verdict))


def carry_out_gates(loaded: LoadedRecipe, registry: Registry, whole: Plan, carrier: Carrier) -> Settled:
    """Settle a recipe's gates; `whole` is the plan with all of its entries, of which nothing is made where all is settled."""
    store = carrier.store
    if store.has(_validation(loaded, registry, whole).key):
        ahead = foreseen(store, loaded, registry)
        if ahead.known and not any(damage(store.folder(node.key)) for node in ahead.nodes):
            carrier.make(ahead.nodes)
            for line in ahead.told():
                carrier.progress.say(line)
            return ahead.settled
    carrier.prepare(whole)
    rows = validation_rows(loaded, registry, whole, store)
    return settle(loaded, registry, rows < MINIMUM_ROWS, carrier.verdict)


@dataclass
class Foreseen:
    """What gates will come to, as far as the store knows: an entry that is not settled yet is taken to help."""

    settled: Settled
    nodes: list[Node]
    """All gates, and the arms of those that are not settled."""

    @property
    def known(self) -> bool:
        """Whether all is settled."""
        return all(decision.verdict != UNKNOWN for decision in self.settled.decisions)

    def told(self) -> list[str]:
        """A line for each entry."""
        lines = [told(decision) for decision in self.settled.decisions if decision.verdict != UNKNOWN]
        return lines + [
            f"{decision.title} is to be settled; the steps below take it to help"
            for decision in self.settled.decisions
            if decision.verdict == UNKNOWN
        ]


UNKNOWN: Verdict = {"verdict": "helps"}
"""Stands for what is not settled."""


def foreseen(store: Store, loaded: LoadedRecipe, registry: Registry) -> Foreseen:
    """Look gates up in the store."""
    if not has_gates(loaded):
        return Foreseen(Settled(loaded), [])
    whole = build_plan(as_written(loaded, registry), registry)
    rows = validation_rows(loaded, registry, whole, store)
    nodes: dict[str, Node] = {}

    def verdict(gate: Gate) -> Verdict:
        settled = store.has(gate.node.key)
        for node in (*(node for arm in gate.arms for node in arm.nodes if not settled), gate.node):
            nodes.setdefault(node.key, node)  # under the name of the arm that makes it
        return verdict_of(gate.node, store) if settled else UNKNOWN

    settled = settle(loaded, registry, rows < MINIMUM_ROWS, verdict)
    return Foreseen(settled, list(nodes.values()))


def verdict_of(node: Node, store: Store) -> Verdict:
    """What a gate that is in the store has decided."""
    found: Verdict = read_json(store.folder(node.key) / VERDICT)
    return found


def validation_rows(loaded: LoadedRecipe, registry: Registry, plan: Plan, store: Store) -> int:
    """Rows of the validation split that arms are compared by.

    Where it has not been prepared yet they are counted in the source, as far as it matters.
    """
    node = _validation(loaded, registry, plan)
    if store.has(node.key):
        return count_rows(store.folder(node.key) / "validation.arrow")
    task = deciding(loaded, registry)[0].task
    readers = readers_of(loaded.recipe, task)
    share = shares_of(split_of(loaded.recipe, task), list(readers)).get("validation", 1.0)
    rows = 0
    for item in readers.get("validation", readers["train"]).read():
        rows += 0 if isinstance(item, Refusal) else len(item.places)
        if rows * share >= MINIMUM_ROWS:
            break
    return round(rows * share)


def _validation(loaded: LoadedRecipe, registry: Registry, plan: Plan) -> Node:
    """The node with the rows that arms are compared by, where that is no cross-validation."""
    return plan.tasks[deciding(loaded, registry)[0].task].splits["validation"]
