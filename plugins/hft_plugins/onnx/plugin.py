"""Offers the ONNX exporter."""

from hft_core import Exporter, hookimpl
from hft_plugins.onnx.exporter import Onnx


@hookimpl
def register_exporters() -> list[type[Exporter]]:
    """Offer the exporter."""
    return [Onnx]
