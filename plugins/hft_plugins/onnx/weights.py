"""Weights gate: the file holds the model's numbers, bit for bit.

A single number that changed may drift less than the numbers gate can tell from rounding.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from hft_core import Graph
from hft_plugins.onnx.gates import Gate

_SAMPLE = 1024
"""Numbers of a matrix without a name that are looked at to find the parameter that it is the transpose of."""


def weights_gate(graph: Graph, file: Path) -> Gate:
    """Compare the file's tensors with the parameters of their names, and transposed ones, which have lost theirs.

    What the exporter computed of parameters is neither, and is left to the numbers gate.
    """
    parameters = {
        f"module.{name}": value.detach().numpy()
        for source in (graph.module.named_parameters, graph.module.named_buffers)
        for name, value in source(remove_duplicate=False)
    }
    compared, changed = 0, []
    for tensor in onnx.load(str(file)).graph.initializer:
        found = numpy_helper.to_array(tensor)
        wanted = parameters.get(tensor.name)
        name = tensor.name
        if wanted is None and found.ndim == 2:
            name, wanted = _transposed(found, parameters)
        if wanted is not None and wanted.shape == found.shape:
            compared += 1
            alike = (wanted == found) | ((wanted != wanted) & (found != found))  # NaN is for the numbers gate to tell
            if different := int((~alike).sum()):
                changed.append(f"{name.removeprefix('module.')} differs in {different:,} of {found.size:,} numbers")
    if parameters and not compared:
        return Gate("weights", "as trained", "none of the file's tensors is a parameter of the model", False)
    measured = (
        changed[0] if changed else f"{compared} tensors, all as trained" if compared else "the model has no weights"
    )
    return Gate("weights", "as trained", measured, not changed)


def _transposed(found: NDArray[Any], parameters: dict[str, NDArray[Any]]) -> tuple[str, NDArray[Any] | None]:
    """Give the parameter whose transpose nearly all of a matrix is; None where there is none."""
    step = max(1, found.size // _SAMPLE)
    sample = found.ravel()[::step]
    for name, value in parameters.items():
        if value.ndim == 2 and value.shape[::-1] == found.shape and (value.T.ravel()[::step] == sample).mean() > 0.5:
            return name, value.T
    return "", None
