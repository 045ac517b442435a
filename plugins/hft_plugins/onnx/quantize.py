"""8-bit weights: onnxruntime's dynamic quantisation."""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic  # type: ignore[import-untyped]  # ships no types

from hft_plugins.onnx.trace import data_file, quiet


def quantize(source: Path, target: Path) -> None:
    """Write `target`, `source` with weights in 8 bits per channel, and its data beside it.

    The graph is taken unfused, as it was traced: fusions are the runtime's business, and fused
    operators would be skipped. Seven bits of the eight are used, because processors without VNNI add
    products of 8 bits into 16 bits, which overflow: so all machines compute the same.
    """
    with tempfile.TemporaryDirectory(prefix="hft-") as temporary, quiet():
        quantized = Path(temporary) / "quantized.onnx"
        quantize_dynamic(str(source), str(quantized), per_channel=True, reduce_range=True, weight_type=QuantType.QInt8)
        model = onnx.load(str(quantized))
    onnx.save_model(
        model, str(target), save_as_external_data=True, location=data_file(target).name, size_threshold=1024
    )
    if data_file(target).exists():
        data_file(target).chmod(target.stat().st_mode)  # onnx makes it readable by its owner alone
