"""Structure gate: what a right graph looks like before any number is computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import onnx

from hft_core import Graph
from hft_plugins.onnx.gates import Gate
from hft_plugins.onnx.trace import data_file

_RANDOM = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"}
_GRAPH_BYTES = 1 << 20
"""Room for the nodes of a graph, which does not grow with the weights."""


def structure_gates(graph: Graph, file: Path, opset: int) -> list[Gate]:
    """Compare a written file with the view that it was traced from."""
    onnx.checker.check_model(str(file))
    model = onnx.load(str(file), load_external_data=False)
    nodes = list(_nodes(model.graph))
    return [
        _equal("inputs", _axes(model.graph.input), _written(graph.inputs)),
        _equal("outputs", _axes(model.graph.output), _written(graph.outputs)),
        _mask_gate(graph),
        _equal("opset", {entry.domain: entry.version for entry in model.opset_import}.get(""), opset),
        _used_gate(model.graph, nodes),
        _deterministic_gate(nodes),
        _size_gate(graph, file),
    ]


def _equal(name: str, found: object, wanted: object) -> Gate:
    return Gate(name, f"{wanted}", f"{found}", found == wanted)


def _axes(values: Sequence[onnx.ValueInfoProto]) -> str:
    """Name and axes of a file's inputs or outputs; an axis that is fixed shows as a number."""
    return _written({v.name: [dim.dim_param or dim.dim_value for dim in v.type.tensor_type.shape.dim] for v in values})


def _written(axes: Mapping[str, Sequence[str | int]]) -> str:
    return ", ".join(f"{name} [{', '.join(map(str, sizes))}]" for name, sizes in axes.items())


def _mask_gate(graph: Graph) -> Gate:
    """Without a mask, padding would be read as text."""
    ok = "input_ids" not in graph.inputs or "attention_mask" in graph.inputs
    return Gate("mask", "attention_mask beside input_ids", ", ".join(graph.inputs), ok)


def _used_gate(graph: onnx.GraphProto, nodes: Sequence[onnx.NodeProto]) -> Gate:
    """An input that no node reads was lost in tracing."""
    read = {name for node in nodes for name in node.input}
    unused = [value.name for value in graph.input if value.name not in read]
    return Gate("inputs used", "all", f"unused: {', '.join(unused)}" if unused else "all", not unused)


def _deterministic_gate(nodes: Sequence[onnx.NodeProto]) -> Gate:
    """Dropout of train mode, or noise, would change every prediction."""
    found = sorted({node.op_type for node in nodes if node.op_type in _RANDOM or _drops(node)})
    return Gate("no training nodes", "none", ", ".join(found) or "none", not found)


def _drops(node: onnx.NodeProto) -> bool:
    """Whether it is a Dropout that may be in training mode; without its third input it is not."""
    return node.op_type == "Dropout" and len(node.input) > 2 and bool(node.input[2])


def _size_gate(graph: Graph, file: Path) -> Gate:
    """A larger file holds weights twice."""
    weights = sum(t.numel() * t.element_size() for t in (*graph.module.parameters(), *graph.module.buffers()))
    bound = int(1.05 * weights) + _GRAPH_BYTES
    size = sum(part.stat().st_size for part in (file, data_file(file)) if part.exists())
    return Gate("size", f"≤ {bound:,} bytes (1.05 × weights, and 1 MiB)", f"{size:,} bytes", size <= bound)


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """All nodes, those of branches and loops included."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from _nodes(attribute.g)
