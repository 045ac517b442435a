"""fp16: weights and arithmetic in half precision, inputs and outputs as before."""

from __future__ import annotations

from pathlib import Path

from onnxruntime.quantization.onnx_model import ONNXModel  # type: ignore[import-untyped]  # ships no types
from onnxruntime.transformers import float16  # type: ignore[import-untyped]

from hft_plugins.onnx.files import save
from hft_plugins.onnx.trace import quiet

_MASKED = 1e4
"""Largest constant: a mask's -3.4e38 becomes -1e4, which still hides, and leaves room for what is added to it."""


def halve(source: Path, target: Path) -> None:
    """Write `target`, `source` by onnxruntime's converter, and its data beside it.

    Whoever runs it gives and gets fp32, so one runtime serves all precisions. A CPU computes it in fp32, an
    accelerator in fp16.
    """
    with quiet():
        model = ONNXModel(float16.convert_float_to_float16(str(source), keep_io_types=True, max_finite_val=_MASKED))
    model.topological_sort()  # the converter puts its casts at the end
    save(model.model, target)
