"""How a graph lies on disk: nodes in one file, weights in another beside it, which runtimes map instead of parse."""

from __future__ import annotations

from pathlib import Path

import onnx

_INLINE = 1024
"""Bytes up to which a tensor stays among the nodes."""


def data_file(file: Path) -> Path:
    """Give the file with the weights of a graph; the name is the one that other tools for ONNX models use."""
    return file.with_name(f"{file.name}_data")


def save(model: onnx.ModelProto, file: Path) -> None:
    """Write a graph and its weights, in place of what was there."""
    data_file(file).unlink(missing_ok=True)  # onnx would append to it
    onnx.save_model(model, str(file), save_as_external_data=True, location=data_file(file).name, size_threshold=_INLINE)
    if data_file(file).exists():
        data_file(file).chmod(file.stat().st_mode)  # onnx makes it readable by its owner alone
