"""Weights in 8 or 4 bits, arithmetic in fp32: what keeps a decoder's predictions, whose cost is reading weights."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnxruntime.quantization.matmul_nbits_quantizer import (  # type: ignore[import-untyped]  # ships no types
    MatMulNBitsQuantizer,
)
from onnxruntime.quantization.onnx_model import ONNXModel  # type: ignore[import-untyped]

from hft_plugins.onnx.files import save
from hft_plugins.onnx.trace import quiet

BLOCK = 32
"""Weights of a column that share a scale; fewer lose less and take more room (5 bytes a block, of 4-bit weights 4.5)."""


def pack(source: Path, target: Path, bits: int) -> None:
    """Write `target`, `source` with each weight matrix in blocks of 8 or 4 bits (round to nearest), and its data beside it.

    Tables stay in fp32, and so does a head that is tied to one.
    """
    model = ONNXModel(onnx.load(str(source)))
    model.replace_gemm_with_matmul()
    with quiet():
        quantizer = MatMulNBitsQuantizer(model.model, bits=bits, block_size=BLOCK, is_symmetric=False)
        quantizer.process()
    save(quantizer.model.model, target)
