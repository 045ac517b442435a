"""What is exported: the graphs of one task, or one graph with the heads of several."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from hft_core import Call, Finished, Graph, Net, PluginError
from hft_core.runtime.cache import PRESENT
from hft_plugins.onnx.describe import reads


@dataclass(frozen=True)
class Subject:
    """The tasks that a bundle answers, and what computes their outputs."""

    graphs: list[Graph]
    """What is traced."""
    call: Call
    """The same in torch."""
    tasks: Mapping[str, Finished]
    """By their names; of one task the name is empty."""

    @property
    def first(self) -> Finished:
        """The task whose columns are those of the bundle; what does not depend on tasks is alike in all."""
        return next(iter(self.tasks.values()))


def subject(net: Net, run: Finished) -> Subject:
    """Give the subject of an export. Raises PluginError for tasks that one graph cannot answer."""
    # A model may change a net to trace it (another attention); the reference stays as it was trained.
    traced = copy.deepcopy(net)
    if not run.others:
        return Subject(run.model.graphs(traced, run.head), run.call, {"": run})
    tasks = {one.head: one for one in (run, *run.others)}
    wanted = {head: len(reads(one)) for head, one in tasks.items()}
    if odd := next((head for head, count in wanted.items() if count != wanted[run.head]), None):
        raise PluginError(
            f"onnx export: the task {odd!r} reads {wanted[odd]} columns of a row, and {run.head!r} {wanted[run.head]}; leave "
            "`tasks: together` out"
        )
    graphs = {head: run.model.graphs(traced, head) for head in tasks}
    return Subject([_joined(graphs)], _joined_call(tasks), tasks)


class _Joined(torch.nn.Module):
    """The views of several heads on one net, all of the same inputs; what they compute alike, tracing computes once."""

    def __init__(self, views: list[torch.nn.Module]):
        super().__init__()
        self.views = torch.nn.ModuleList(views)

    def forward(self, *arrays: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Run all views."""
        return tuple(output for view in self.views for output in view(*arrays))


def _joined(by_head: Mapping[str, list[Graph]]) -> Graph:
    """Give one graph with the outputs of all heads, `HEAD.OUTPUT`."""
    first, *_ = (graphs[0] for graphs in by_head.values())
    for head, graphs in by_head.items():
        if len(graphs) > 1 or any(name.startswith(PRESENT) for name in graphs[0].outputs):
            raise PluginError(
                f"onnx export: the task {head!r} needs {'several graphs' if len(graphs) > 1 else 'a cache'}, so it has no "
                "place on one graph with others; leave `tasks: together` out"
            )
        if _axes(graphs[0].inputs) != _axes(first.inputs):
            raise PluginError(
                f"onnx export: the task {head!r} reads {_axes(graphs[0].inputs)}, the others {_axes(first.inputs)}; leave "
                "`tasks: together` out"
            )
    outputs = {f"{head}.{name}": axes for head, graphs in by_head.items() for name, axes in graphs[0].outputs.items()}
    module = _Joined([graphs[0].module for graphs in by_head.values()])
    return Graph(first.name, module, first.inputs, outputs, first.example, first.maximum)


def _axes(inputs: Mapping[str, Any]) -> dict[str, list[Any]]:
    return {name: list(axes) for name, axes in inputs.items()}


def _joined_call(tasks: Mapping[str, Finished]) -> Call:
    """Give the `call` that computes in torch what the joined graph computes."""

    def call(graph: str, /, **arrays: Any) -> dict[str, Any]:
        return {
            f"{head}.{name}": output
            for head, run in tasks.items()
            for name, output in run.call(graph, **arrays).items()
        }

    return call
