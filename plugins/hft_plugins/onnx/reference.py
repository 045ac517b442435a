"""The trained model in torch, as the `call` that exports are compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hft_core import Graph, Net


class TorchCall:
    """``call(graph, **arrays) -> named outputs`` on the net itself, in eval mode, without gradients."""

    def __init__(self, net: Net, head: str, graphs: Sequence[Graph]):
        self._net = net
        self._head = head
        self._graphs = {graph.name: graph for graph in graphs}

    def __call__(self, graph: str, /, **arrays: Any) -> dict[str, NDArray[Any]]:
        """Run one graph; arrays that it doesn't take are ignored."""
        view = self._graphs[graph]
        tensors = {name: torch.from_numpy(np.ascontiguousarray(arrays[name])) for name in view.inputs}
        with torch.no_grad():
            outputs = self._run(view, tensors)
        return {name: outputs[name].float().numpy() for name in view.outputs}

    def _run(self, view: Graph, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        if len(self._graphs) == 1:
            # Not the traced view: a fault of the view itself must show.
            return self._net(self._head, **tensors)  # type: ignore[no-any-return]  # torch modules are called untyped
        return dict(zip(view.outputs, view.module(*tensors.values()), strict=True))
