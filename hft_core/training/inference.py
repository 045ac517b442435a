"""Running a net without training it: the `call` of evaluation, and the vectors of the linear probe."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from hft_core.components import Call, Columns, Facts, Preprocessor, Task
from hft_core.components.net import Net
from hft_core.runtime.batching import TOKENS, cuts
from hft_core.runtime.cache import Cache, folded
from hft_core.runtime.driver import Outcome, longest, predict
from hft_core.runtime.ragged import Arrays, take


def torch_call(net: Net, head: str) -> Call:
    """Give the `call` that runs the net's graphs in fp32; a cache stays on the net's device. Leaves its mode alone."""
    device = next(net.parameters()).device

    def call(graph: str, /, cache: Cache | None = None, **arrays: Any) -> dict[str, Any]:
        tensors = {name: torch.from_numpy(np.ascontiguousarray(array)).to(device) for name, array in arrays.items()}
        past = {} if cache is None else cache.inputs()
        with torch.inference_mode():
            outputs = net.run(head, graph, **tensors, **past)
        return {
            name: output if isinstance(output, Cache) else _numpy(output)
            for name, output in folded(outputs, cache).items()
        }

    return call


def _numpy(output: torch.Tensor) -> np.ndarray[Any, Any]:
    """Floats in fp32, whatever they were computed in."""
    return (output.float() if output.is_floating_point() else output).cpu().numpy()


def infer(
    net: Net, head: str, task: Task, columns: Columns, preprocessor: Preprocessor, facts: Facts, batch_size: int = 32
) -> Outcome:
    """Predict all rows in evaluation mode; the net's mode is as before afterwards."""
    training = net.training
    net.eval()
    try:
        return predict(task, columns, preprocessor, facts, torch_call(net, head), batch_size, _tokens(net))
    finally:
        net.train(training)


def vectors(net: Net, arrays: Arrays, preprocessor: Preprocessor, batch_size: int = 32) -> np.ndarray[Any, Any] | None:
    """Give the net's `embed` of each row, float32 [rows, width]; None where it has none, or rows have several entries."""
    row = np.asarray(arrays.get("row", ()))
    if not np.array_equal(row, np.arange(len(row))):
        return None
    net.eval()
    device = next(net.parameters()).device
    inputs: Arrays = {name: array for name, array in arrays.items() if name != "row"}
    lengths = longest(inputs)
    order = np.argsort(lengths, kind="stable")
    parts = []
    with torch.inference_mode():
        for cut in cuts(lengths[order], batch_size, _tokens(net)):
            batch = preprocessor.pad(take(inputs, order[cut]))
            embedded = net.embed(**{name: torch.from_numpy(array).to(device) for name, array in batch.items()})
            if embedded is None:
                return None
            parts.append(embedded.cpu().numpy())
    return np.concatenate(parts)[np.argsort(order, kind="stable")]


def _tokens(net: Net) -> int | None:
    """Tokens of a batch at most: on an accelerator as many as there are."""
    return TOKENS if next(net.parameters()).device.type == "cpu" else None
