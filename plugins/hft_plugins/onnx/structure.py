"""Structure gate: what a right graph looks like before any number is computed."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import onnx

from hft_core import Graph
from hft_plugins.onnx.files import data_file
from hft_plugins.onnx.gates import Gate
from hft_plugins.onnx.quantize import TABLES, groups
from hft_plugins.onnx.weight_only import BLOCK
from hft_plugins.onnx.weights import weights_gate

_RANDOM = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"}
_BYTES = {"fp16": 2.0, "int8": 1.0, "w8": 1 + 5 / BLOCK, "w4": 0.5 + 4.5 / BLOCK}
"""What a weight takes; each block has a scale of 4 bytes besides, and a zero point in the width of a weight."""
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
        weights_gate(graph, file),
    ]


def variant_gates(graph: Graph, source: Path, file: Path, precision: str, kept: Collection[str] = ()) -> list[Gate]:
    """Look at a file in another precision that was made of `source`, in which the nodes `kept` are as they were."""
    model = onnx.load(str(file), load_external_data=False)
    gates = [_interface_gate(model.graph, graph, precision), _bytes_gate(source, file, precision, kept)]
    return [*gates, _channels_gate(model.graph, source, kept)] if precision == "int8" else gates


def _interface_gate(found: onnx.GraphProto, graph: Graph, precision: str) -> Gate:
    """Callers give and get the same arrays at every precision."""
    halves = [v.name for v in (*found.input, *found.output) if v.type.tensor_type.elem_type == onnx.TensorProto.FLOAT16]
    lacking = {*graph.inputs} ^ {v.name for v in found.input} | {*graph.outputs} ^ {v.name for v in found.output}
    measured = ", ".join([*(f"{name} in fp16" for name in halves), *(f"{name} differs" for name in sorted(lacking))])
    return Gate(f"interface: {precision}", "inputs and outputs as in fp32", measured or "the same", not measured)


def _bytes_gate(source: Path, file: Path, precision: str, kept: Collection[str]) -> Gate:
    """A larger file has lost its precision, or holds weights twice."""
    found = groups(source)
    nodes = {
        node: weight
        for group, members in found.items()
        if precision in ("fp16", "int8") or group != TABLES
        for node, weight in members.items()
    }
    small = {weight for node, weight in nodes.items() if node not in kept}
    weights = 0.0
    for tensor in onnx.load(str(source), load_external_data=False).graph.initializer:
        halved = precision == "fp16" and tensor.data_type == onnx.TensorProto.FLOAT
        own = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
        weights += math.prod(tensor.dims) * (_BYTES[precision] if tensor.name in small or halved else own)
    return _size(f"size: {precision}", weights, file)


def _channels_gate(graph: onnx.GraphProto, source: Path, kept: Collection[str]) -> Gate:
    """One scale for a whole matrix turns decisions that no metric shows."""
    wanted = [node for group, nodes in groups(source).items() if group != TABLES for node in nodes if node not in kept]
    sizes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    products = [node for node in graph.node if node.op_type == "MatMulInteger"]
    columns = [(sizes[node.input[1]][-1], math.prod(sizes[node.input[3]])) for node in products]
    if not columns:
        measured = f"none of {len(wanted)} matrices is in 8 bits" if wanted else "there is no matrix to have one"
        return Gate("per channel: int8", "a scale for each column", measured, not wanted)
    coarse = sum(scales != width for width, scales in columns)
    measured = f"{coarse} of {len(columns)} matrices have not"
    return Gate("per channel: int8", "a scale for each column", measured, not coarse)


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
    return _size("size", weights, file)


def _size(name: str, weights: float, file: Path) -> Gate:
    bound = int(1.05 * weights) + _GRAPH_BYTES
    size = sum(part.stat().st_size for part in (file, data_file(file)) if part.exists())
    return Gate(name, f"≤ {bound:,} bytes (1.05 × weights, and 1 MiB)", f"{size:,} bytes", size <= bound)


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """All nodes, those of branches and loops included."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from _nodes(attribute.g)
