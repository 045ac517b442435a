"""The exporter `onnx`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, field_validator

from hft_core import Exporter, Finished, Section

if TYPE_CHECKING:
    from hft_core import Net


class Onnx(Exporter):
    """A bundle for ONNX Runtime: graphs, tokenizer, decoding, golden vectors, parity report."""

    type: Literal["onnx"]

    needs_distributions: ClassVar[bool] = True

    precisions: list[Literal["fp32", "int8"]] = Field(default=["fp32"], min_length=1)
    """What to write; the first is the default of `hft predict`. `int8`: weights in 8 bits, a quarter of the size."""
    opset: int = Field(default=20, ge=18, le=22)
    """Version of ONNX's operator set; 20 needs onnxruntime 1.17 or later."""

    @field_validator("precisions")
    @classmethod
    def _each_once(cls, value: list[str]) -> list[str]:
        if len(set(value)) < len(value):
            raise ValueError(f"each precision may stand there once, found {value}")
        return value

    def export(self, net: Net, run: Finished, folder: Path, log: Callable[[str], None]) -> Section:
        """Trace, gate, quantise and gate again, write the bundle, and try it in a fresh process without torch.

        A precision other than fp32 that misses a gate is left out, and stands in the section's `refused`. Raises
        DamagedError, naming gate, bound and measured value, where fp32 misses one, or nothing would be left.
        """
        from hft_plugins.onnx.export import export

        return export(net, run, folder, list(self.precisions), self.opset, log)
