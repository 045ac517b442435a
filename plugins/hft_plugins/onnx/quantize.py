"""8-bit weights and activations: onnxruntime's dynamic quantisation."""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from pathlib import Path

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic  # type: ignore[import-untyped]  # ships no types

from hft_plugins.onnx.files import save
from hft_plugins.onnx.trace import quiet

NARROW, SQUARE, WIDE, TABLES = "narrowing", "square", "widening", "tables"
GROUPS = {
    NARROW: "matrices that narrow (feed-forward outputs, heads)",
    SQUARE: "square matrices (attention)",
    WIDE: "matrices that widen (feed-forward inputs, vocabularies)",
    TABLES: "tables (embeddings)",
}
"""Groups of weights that stay in fp32 together, by what their shapes say of their part; any architecture has them."""
_MATMUL = "_MatMul"
"""What onnxruntime appends to the name of a Gemm that it splits into MatMul and Add."""


def groups(file: Path) -> dict[str, dict[str, str]]:
    """Give, by group, the nodes of a graph with quantisable weights: a node's name to its weight's."""
    graph = onnx.load(str(file), load_external_data=False).graph
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer if len(tensor.dims) == 2}
    found: dict[str, dict[str, str]] = {name: {} for name in GROUPS}
    for node in graph.node:
        if node.op_type == "Gather" and node.input[0] in shapes:
            found[TABLES][node.name] = node.input[0]
        elif node.op_type in ("MatMul", "Gemm") and node.input[1] in shapes:
            read, given = shapes[node.input[1]]
            if any(attribute.name == "transB" and attribute.i for attribute in node.attribute):
                read, given = given, read
            found[NARROW if read > given else SQUARE if read == given else WIDE][node.name] = node.input[1]
    return found


def quantize(source: Path, target: Path, kept: Collection[str] = ()) -> None:
    """Write `target`, `source` with weights in 8 bits per channel, and its data beside it.

    The graph is taken unfused, as it was traced: fusions are the runtime's business, and fused
    operators would be skipped. Seven bits of the eight are used, because processors without VNNI add
    products of 8 bits into 16 bits, which overflow: so all machines compute the same.

    Args:
        kept: names of nodes whose weights stay in fp32.
    """
    with tempfile.TemporaryDirectory(prefix="hft-") as temporary, quiet():
        quantized = Path(temporary) / "quantized.onnx"
        quantize_dynamic(
            str(source), str(quantized), per_channel=True, reduce_range=True, weight_type=QuantType.QInt8,
            nodes_to_exclude=[*kept, *(name + _MATMUL for name in kept)], use_external_data_format=True,
        )  # fmt: skip
        model = onnx.load(str(quantized))
    save(model, target)
