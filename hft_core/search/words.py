"""What people read of fields and values."""

from __future__ import annotations

from typing import Any


def short_name(path: str) -> str:
    """What people call a field: its last words."""
    steps = [step for step in path.split(".") if not step.isdecimal()]
    return ".".join(steps[-2:]) if len(steps) > 1 and steps[-1] in ("type", "name", "rate", "source") else steps[-1]


def shown_value(value: Any) -> str:
    """A value for people."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
