"""Numbers gate: the graph computes what the model computes, at all shapes and paddings.

Wrong graphs pass at the shape they were traced at; 1×1, the maximum, and padding on either side or in
the middle are where they fail. The maximum is the longest input that a user can reach: the preprocessor's
`max_length`, or the positions of the model where they are fewer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hft_core import Graph
from hft_core.runtime.cache import PRESENT, unfolded
from hft_core.runtime.randomness import generator
from hft_plugins.onnx.gates import Gate

BOUNDS = {"fp32": 1e-4, "fp16": 1e-2}
"""Largest difference of a precision, as a share of the output's scale (its largest absolute value, at least 1).

On random inputs a quantised precision may differ by anything but has to be finite: real rows are its measure.
"""
_PAIRED = 512
"""Longest sequence that is compared in two rows; attention's memory grows with its square, so longer ones go alone."""
PADDINGS = ("full", "right", "left", "hole")
PASTS = (0, 1, 7)
"""Tokens in a cache."""
Run = Callable[..., dict[str, NDArray[Any]]]


def numbers_gates(
    graph: Graph, reference: Run, exported: Run, vocabulary: int, longest: int | None, precision: str = "fp32"
) -> list[Gate]:
    """Compare two runs of one graph on random inputs.

    Args:
        reference: the model in torch, ``reference(**inputs) -> named outputs``.
        exported: the graph in onnxruntime, called the same way.
        vocabulary: ids are drawn below it; each is used once before any is used twice.
        longest: tokens of the longest input that the preprocessor gives; None: as many as the graph takes.
        precision: of `exported`. Those made of a graph that was compared at all shapes, fp32, are run at the shortest,
            a middle and the longest only.
    """
    bound = BOUNDS.get(precision, math.inf)
    of = "" if precision == "fp32" else f": {precision}"
    worst: dict[str, tuple[float, str]] = {}
    cases = 0
    for case, inputs in _cases(graph, vocabulary, longest, every=precision == "fp32"):
        cases += 1
        wanted = unfolded(reference(**inputs))
        try:
            found = unfolded(exported(**inputs))
        except Exception as error:  # onnxruntime's own exception classes have no common base
            reason = " ".join(str(error).split())[:500]
            return [Gate(f"numbers{of}", "an answer to every shape", f"{reason} ({case})", False)]
        for name, axes in graph.outputs.items():
            difference = _difference(wanted[name], found[name], _seen(graph, inputs, axes), axes)
            kind = "cache" if name.startswith(PRESENT) else name  # it has two outputs for each layer
            if kind not in worst or not difference <= worst[kind][0]:  # NaN is worse than any
                worst[kind] = (difference, case)
    return [
        Gate(
            f"numbers: {name}{of}",
            f"≤ {bound:g} × scale in {cases} cases" if bound < math.inf else f"finite in {cases} cases",
            f"{difference:.1e} ({case})",
            difference <= bound and difference < math.inf,  # NaN fails
        )
        for name, (difference, case) in worst.items()
    ]


def _cases(
    graph: Graph, vocabulary: int, longest: int | None, every: bool = True
) -> Iterator[tuple[str, dict[str, NDArray[Any]]]]:
    """Shapes × paddings; where the graph has a cache, the tokens that are past change from case to case."""
    axes = {axis for sizes in graph.inputs.values() for axis in sizes if isinstance(axis, str)}
    limits = (longest, graph.maximum.get("sequence"), graph.maximum.get("total"))
    maximum = min((limit for limit in limits if limit), default=_PAIRED) if "sequence" in axes else 1
    lengths = [(1, 1), (2, 2), (1, 7), (3, 7), (1, 16), (5, 33), (4, 64), (2, min(maximum // 2, _PAIRED))]
    lengths += [(1, maximum), (2, min(maximum, _PAIRED))]
    if not every:
        lengths = [lengths[0], (5, 33), lengths[-1]]
    shapes = sorted({(rows, min(max(length, 1), maximum)) for rows, length in lengths})
    ids = _Ids(vocabulary)
    for turn, (rows, length) in enumerate(shapes):
        for shift, padding in enumerate(PADDINGS if "attention_mask" in graph.inputs else PADDINGS[:1]):
            past = min(PASTS[(turn + shift) % len(PASTS)], maximum - 1) if "past" in axes else 0
            new = min(length, maximum - past)
            sizes = {"batch": rows, "sequence": new, "past": past, "total": past + new}
            for axis in sorted(axes - sizes.keys()):
                sizes[axis] = _size(axis, graph, least=length == 1, greatest=length == maximum)
            case = f"{rows}×{new}, {padding} padding" + (f", {past} past" if "past" in axes else "")
            yield case, {name: _input(name, graph, sizes, padding, ids) for name in graph.inputs}


def _size(axis: str, graph: Graph, least: bool, greatest: bool) -> int:
    """A size of an axis that only the model knows: 1, its maximum, or otherwise the example's."""
    found = [
        graph.example[name].shape[place]
        for name, axes in graph.inputs.items()
        for place, one in enumerate(axes)
        if one == axis
    ]
    return 1 if least else graph.maximum.get(axis, found[0]) if greatest else found[0]


def _mask(rows: int, length: int, padding: str) -> NDArray[np.int64]:
    """1 where a token is; the first row is full where there are others, so that short rows are padded."""
    mask = np.ones((rows, length), np.int64)
    if padding == "full":
        return mask
    for row in range(1 if rows > 1 else 0, rows):
        gone = min(length - 1, max(1, (row + 1) * length // (rows + 1)))
        if padding == "right":
            mask[row, length - gone :] = 0
        elif padding == "left":
            mask[row, :gone] = 0
        elif length > 2:
            start = 1 + row % max(1, length - 1 - gone) if gone < length - 1 else 1
            mask[row, start : min(start + gone, length - 1)] = 0
    return mask


class _Ids:
    """Token ids in an order that visits the whole vocabulary before it repeats."""

    def __init__(self, vocabulary: int):
        self._order = generator("onnx", "ids").permutation(vocabulary)
        self._next = 0

    def take(self, shape: tuple[int, ...]) -> NDArray[np.int64]:
        positions = np.arange(self._next, self._next + int(np.prod(shape)))
        self._next = int(positions[-1]) + 1
        return self._order[positions % len(self._order)].reshape(shape).astype(np.int64)


def _input(name: str, graph: Graph, sizes: Mapping[str, int], padding: str, ids: _Ids) -> NDArray[Any]:
    """An array for one input: ids and mask as such, others in the kind and range of the example."""
    example = graph.example[name]
    shape = tuple(sizes[axis] if isinstance(axis, str) else axis for axis in graph.inputs[name])
    if name == "input_ids":
        return ids.take(shape)
    if name == "attention_mask":
        return _mask(shape[0], shape[1], padding).astype(example.dtype)
    random = generator("onnx", name, *shape)
    if np.issubdtype(example.dtype, np.floating):
        return random.standard_normal(shape).astype(example.dtype)
    return random.integers(example.min(), example.max() + 1, shape).astype(example.dtype)


def _seen(graph: Graph, inputs: Mapping[str, NDArray[Any]], axes: Sequence[str | int]) -> NDArray[np.bool_] | None:
    """Which tokens of an output's axis are there, [rows, tokens]; None where the mask says nothing of any of its axes."""
    if "attention_mask" not in graph.inputs:
        return None
    own = graph.inputs["attention_mask"][1]
    # A mask of past and new tokens covers an output of the new ones too; one of another text, such as what a decoder
    # reads beside its own, covers neither.
    covered = ("sequence", "total") if own == "total" else (own,)
    return inputs["attention_mask"].astype(bool) if any(axis in covered for axis in axes[1:]) else None


def _difference(
    wanted: NDArray[Any], found: NDArray[Any], seen: NDArray[np.bool_] | None, axes: Sequence[str | int]
) -> float:
    """Largest difference over scale; where a token is masked, its values may be anything."""
    if wanted.shape != found.shape:
        return float("inf")
    if seen is not None:
        place = next(place for place, axis in enumerate(axes) if place and axis in ("sequence", "total"))
        # Of past and new tokens, an output per new token has the last ones.
        kept = seen[:, -wanted.shape[place] :]
        wanted, found = np.moveaxis(wanted, place, 1)[kept], np.moveaxis(found, place, 1)[kept]
    if not np.isfinite(wanted).all() or not np.isfinite(found).all():
        return float("nan")
    scale = max(1.0, float(np.abs(wanted).max(initial=0)))
    return float(np.abs(wanted.astype(np.float64) - found).max(initial=0)) / scale
