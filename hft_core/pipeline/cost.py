"""What training will cost, has cost, and may cost: stages to train, the time that their like took in this store, a budget."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hft_core.errors import RecipeError
from hft_core.pipeline.divergence import divergence
from hft_core.pipeline.nodes import Node
from hft_core.report.numbers import duration
from hft_core.store.store import Store


@dataclass(frozen=True)
class Cost:
    """A cost, as far as it is known before."""

    stages: int
    """Stages to train."""
    seconds: float
    """What those take whose like has been trained."""
    unknown: int
    """Stages of which none like them has been trained in this store."""

    def told(self) -> str:
        """One sentence."""
        if not self.stages:
            return "predicted cost: nothing is to be trained"
        several = "stage" if self.stages == 1 else "stages"
        if self.unknown == self.stages:
            return f"predicted cost: {self.stages} {several} to train; none like them was timed in this store yet"
        rest = f", and {self.unknown} of unknown length" if self.unknown else ""
        return f"predicted cost: {self.stages} {several} to train, about {duration(self.seconds)}{rest}"


def predicted(nodes: Sequence[Node], store: Store) -> Cost:
    """Predict the cost of what is not in the store, by stages of the same name that are."""
    stages = list({node.key: node for node in nodes if node.kind == "stage"}.values())
    wanted = [node for node in stages if not store.has(node.key) and not divergence(store, node.key)]
    times = {title(node): seconds([node], store) for node in stages if store.has(node.key)}
    timed = [times[title(node)] for node in wanted if title(node) in times]
    return Cost(len(wanted), sum(timed), len(wanted) - len(timed))


def seconds(nodes: Iterable[Node], store: Store) -> float:
    """What finished stages took to train."""
    found = 0.0
    for node in {node.key: node for node in nodes if node.kind == "stage"}.values():
        found += float(json.loads((store.folder(node.key) / "stage.json").read_text("utf-8"))["seconds"])
    return found


def title(node: Node) -> str:
    """The name of a node's stage, whatever its seed and arm."""
    return str(node.details["stage"])


@dataclass(frozen=True)
class Budget:
    """What comparisons of arms may cost; None: as much as it takes. Raises RecipeError for nothing at all."""

    runs: int | None = None
    """Trainings of a recipe with one seed. `hft ablate` counts those that the store lacks, `hft tune` all."""
    minutes: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("--runs", self.runs), ("--minutes", self.minutes)):
            if value is not None and not value > 0:  # nan, too
                raise RecipeError(
                    f"{name} {value:g}: with a budget of nothing there is nothing to compare; give more, or none"
                )

    def told(self) -> str:
        """In words."""
        limits = [f"{self.runs} runs"] if self.runs is not None else []
        limits += [f"{self.minutes:g} minutes"] if self.minutes is not None else []
        return f"budget: {' and '.join(limits) or 'none'}"
