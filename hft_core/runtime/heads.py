"""Several tasks on one graph: an output `NAME` of the head `HEAD` is called `HEAD.NAME`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hft_core.runtime.batching import TOKENS
from hft_core.runtime.driver import Call, Columns, Facts, Pads, Predicts, predict


@dataclass(frozen=True)
class Head:
    """One of the tasks of a bundle that has several."""

    task: Predicts
    """What it does with rows, arrays and outputs."""
    facts: Facts
    """What it has learned."""
    reads: Sequence[str]
    """The columns that it reads by its own names, in the order of those that the bundle reads."""


def predict_all(
    heads: Mapping[str, Head],
    columns: Columns,
    reads: Sequence[str],
    preprocessor: Pads,
    call: Call,
    tokens: int | None = TOKENS,
) -> list[dict[str, Any]]:
    """Give each task's prediction of each row, by the task's name.

    A graph is run once for all tasks that make the same arrays of the rows.

    Args:
        columns: cleaned texts and what else is read, at least those in `reads`.
        reads: the columns that the tasks read, in order.
        tokens: tokens per batch at most, see `driver.predict`.
    """
    shared = once(call)
    found: dict[str, list[dict[str, Any]]] = {}
    for name, head in heads.items():
        own = {mine: columns[theirs] for mine, theirs in zip(head.reads, reads, strict=True)}
        found[name] = predict(
            head.task, own, preprocessor, head.facts, of_head(shared, name), tokens=tokens
        ).predictions
    return [dict(zip(found, row, strict=True)) for row in zip(*found.values(), strict=True)]


def of_head(call: Call, head: str) -> Call:
    """Give a `call` whose outputs are those of one head, by their own names."""
    prefix = f"{head}."

    def own(graph: str, /, **arrays: Any) -> dict[str, Any]:
        outputs = call(graph, **arrays)
        return {name.removeprefix(prefix): value for name, value in outputs.items() if name.startswith(prefix)}

    return own


def once(call: Call) -> Call:
    """Give a `call` that remembers what it has computed of which arrays, for as long as it lives."""
    known: dict[Any, dict[str, Any]] = {}

    def remembered(graph: str, /, **arrays: Any) -> dict[str, Any]:
        key = (graph, *((name, array.shape, array.tobytes()) for name, array in sorted(arrays.items())))
        if key not in known:
            known[key] = call(graph, **arrays)
        return known[key]

    return remembered
