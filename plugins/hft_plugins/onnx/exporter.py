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
    needs_graphs: ClassVar[bool] = True

    precisions: list[Literal["fp32", "fp16", "int8", "w8", "w4"]] = Field(default=["fp32"], min_length=1)
    """What to write; the first is the default of `hft predict`. `fp16`: half the size, and faster on accelerators.
    `int8`: weights and activations in 8 bits, a quarter of the size and faster on CPUs. `w8`, `w4`: weight matrices in 8
    or 4 bits, arithmetic and embedding tables in fp32, for decoders (running `w8` takes onnxruntime 1.23 or later)."""
    allow_drift: bool = False
    """Write a precision beside fp32 even where it misses a gate on decisions or metrics. The bundle records what it
    missed; gates on structure, finite numbers, tokenizer and the fresh process hold all the same, and so do fp32's."""
    tasks: Literal["each", "together"] = "each"
    """What becomes of several tasks: a bundle for `each`, or all `together` on one graph with an output for each head, whose
    predictions have an object for each task. Together go tasks that read as many texts as each other and write none."""
    opset: int = Field(default=20, ge=18, le=22)
    """Version of ONNX's operator set; 20 needs onnxruntime 1.17 or later."""

    @field_validator("precisions")
    @classmethod
    def _each_once(cls, value: list[str]) -> list[str]:
        if len(set(value)) < len(value):
            raise ValueError(f"each precision may stand there once, found {value}")
        return value

    @property
    def joins(self) -> bool:
        """Whether tasks go together."""
        return self.tasks == "together"

    def export(self, net: Net, run: Finished, folder: Path, log: Callable[[str], None]) -> Section:
        """Trace, gate, make other precisions and gate them, write the bundle, and try it in a fresh process without torch.

        A precision other than fp32 that misses a gate is left out, and stands in the section's `refused`. Raises
        DamagedError, naming gate, bound and measured value, where fp32 misses one, or nothing would be left; PluginError
        where something that runs at predict time cannot be represented in a bundle.
        """
        from hft_plugins.onnx.export import export

        return export(net, run, folder, list(self.precisions), self.opset, self.allow_drift, log)
