"""What regression does at predict time: plain functions of settings, facts and arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hft_plugins.text_classification.runtime import encode

__all__ = ["decode", "encode"]


def decode(
    settings: Mapping[str, Any],
    columns: Any,
    arrays: Any,
    outputs: Mapping[str, NDArray[Any]],
    facts: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Give the number of each row as `score`, in the unit of the data, from logits float [rows, 1]."""
    values = np.asarray(outputs["logits"], np.float64)[:, 0] * facts["sd"] + facts["mean"]
    return [{"score": value} for value in values.tolist()]
