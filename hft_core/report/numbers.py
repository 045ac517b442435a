"""How numbers are written in the report and the model card."""

from __future__ import annotations

import math

from hft_core.report.content.figures import Figure


def figure(value: float | None) -> str:
    """Write a metric's figure: 0.913, 18.42, 1,204; an en dash for none."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    digits = 3 if abs(value) < 10 else 2 if abs(value) < 1000 else 0
    return f"{value:,.{digits}f}".replace("-", "−")


def exact(value: float | None) -> str:
    """Write a figure for a terminal, to compare with other runs: 0.9130; an en dash for none."""
    return "–" if value is None or math.isnan(value) else f"{value:.4f}"


def exact_interval(entry: Figure) -> str:
    """Write a figure for a terminal with its interval: 0.9130  (0.8910 … 0.9300)."""
    return f"{exact(entry['value'])}  ({exact(entry['low'])} … {exact(entry['high'])})"


def interval(entry: Figure) -> str:
    """Write an interval: [0.891, 0.930]; nothing for none."""
    if entry["low"] is None or entry["high"] is None:
        return ""
    return f"[{figure(entry['low'])}, {figure(entry['high'])}]"


def difference(value: float | None) -> str:
    """Write a difference of two figures with its sign: +0.013, −0.002; an en dash for none."""
    return f"+{figure(value)}" if value is not None and value >= 0 else figure(value)


def count(value: int) -> str:
    """Write a number of rows or steps: 12,345."""
    return f"{value:,}"


def share(value: float | None) -> str:
    """Write a fraction as per cent: 1.4 %."""
    if value is None:
        return "–"
    return f"{100 * value:.2g} %" if 0 < value < 0.01 else f"{100 * value:.1f} %"


def duration(seconds: float) -> str:
    """Write a duration: 8.4 s, 3 min 20 s, 2 h 05 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def tick(value: float) -> str:
    """Write an axis label as short as it can be: 0.25, 2e-05, 1200."""
    return f"{value:.4g}".replace("e-0", "e-").replace("-", "−")


def moment(created: str) -> str:
    """Write an ISO 8601 moment to the minute: 2026-05-04 10:21."""
    return created[:16].replace("T", " ")
