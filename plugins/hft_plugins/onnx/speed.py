"""What a precision gains: CPU time of one call beside the trained model's in torch, on this machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hft_core import Graph
from hft_core.runtime.session import OnnxCall

SHAPES = ((1, 32), (32, 64))
"""Rows and tokens: one short text, and a batch."""
_AXES = ["batch", "sequence"]
_MOST = 25
"""Rounds that are enough."""


def speeds(
    graph: Graph,
    reference: Callable[..., Any],
    files: Mapping[str, Path],
    shapes: Sequence[tuple[int, int]] = SHAPES,
    seconds: float = 0.2,
) -> list[dict[str, Any]]:
    """Time calls of one graph, one thread each, in turn with those of `reference`, the graph in torch.

    Gives one record per precision and shape: `precision`, `rows`, `tokens`, `ms` (CPU, the median), `torch_ms` and
    `ratio` (the median of rounds); none for a graph that takes more than tokens of rows, such as a cache.

    Args:
        graph: the graph; its example gives the values that are fed.
        reference: ``reference(**arrays)``.
        files: precision to the graph's file.
        shapes: rows and tokens; of more tokens than the graph takes as many as it takes.
        seconds: CPU time of one arm at one shape that is enough; one round is made in any case.
    """
    if any(list(axes) != _AXES for axes in graph.inputs.values()):
        return []
    arms = {name: _arm(OnnxCall({graph.name: file}, threads=1), graph.name) for name, file in files.items()}
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [record for shape in shapes for record in _compared(graph, reference, arms, *shape, seconds)]
    finally:
        torch.set_num_threads(before)


def told(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say it in one sentence per precision."""
    by_precision: dict[str, list[str]] = {}
    for one in records:
        words = f"{one['ratio']:.1f} × at {one['rows']} × {one['tokens']} ({one['ms']:.1f} ms)"
        by_precision.setdefault(one["precision"], []).append(words)
    return [
        f"Speed of {precision} against torch here, one thread, CPU time, rows × tokens: {', '.join(parts)}."
        for precision, parts in by_precision.items()
    ]


def _arm(call: OnnxCall, name: str) -> Callable[..., Any]:
    return lambda **arrays: call(name, **arrays)


def _compared(
    graph: Graph,
    reference: Callable[..., Any],
    arms: Mapping[str, Callable[..., Any]],
    rows: int,
    tokens: int,
    seconds: float,
) -> list[dict[str, Any]]:
    arrays = _inputs(graph, rows, min(tokens, graph.maximum.get("sequence", tokens)))
    slowest = max(_milliseconds(arm, arrays) for arm in (reference, *arms.values()))  # the first call of each warms up
    rounds = max(1, min(_MOST, int(1000 * seconds / max(slowest, 0.1))))
    own: list[float] = []
    found: dict[str, list[float]] = {name: [] for name in arms}
    for _ in range(rounds):
        own.append(_milliseconds(reference, arrays))
        for name, arm in arms.items():
            found[name].append(_milliseconds(arm, arrays))
    return [
        {
            "precision": name,
            "rows": rows,
            "tokens": arrays["input_ids"].shape[1] if "input_ids" in arrays else tokens,
            "ms": statistics.median(times),
            "torch_ms": statistics.median(own),
            "ratio": statistics.median(one / two for one, two in zip(own, times, strict=True)),
        }
        for name, times in found.items()
    ]


def _inputs(graph: Graph, rows: int, tokens: int) -> dict[str, NDArray[Any]]:
    """The example's values, repeated; nothing is padded."""
    arrays = {name: np.resize(graph.example[name], (rows, tokens)) for name in graph.inputs}
    if "attention_mask" in arrays:
        arrays["attention_mask"] = np.ones_like(arrays["attention_mask"])
    return arrays


def _milliseconds(arm: Callable[..., Any], arrays: Mapping[str, NDArray[Any]]) -> float:
    """CPU time of all threads of this process."""
    start = time.process_time_ns()
    arm(**arrays)
    return (time.process_time_ns() - start) / 1e6
