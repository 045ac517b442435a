"""JSON as its standard has it (RFC 8259), for files and outputs that other programs read."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def strict_json(value: Any, indent: int | None = None) -> str:
    """Write a value as JSON, Chinese as Chinese, `plain`."""
    return json.dumps(plain(value), ensure_ascii=False, allow_nan=False, indent=indent)


def plain(value: Any) -> Any:
    """The value as JSON would give it back: numbers of other libraries as Python's, None for NaN and infinity."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "item"):  # of numpy, of torch
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
