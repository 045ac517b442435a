"""Charts as inline SVG: curves, bars with intervals, a heat map. Colours and fonts come from the page's style sheet.

Charts are drawn for the width of a phone, so that their text stays readable there; the page lays them side by
side where there is room.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hft_core.report.content.figures import Figure
from hft_core.report.markup import Markup, element, joined, shortened, width_of
from hft_core.report.numbers import count, figure, interval, share, tick

_CURVES_WIDTH = 340
_BARS_WIDTH = 380
_COLUMN = 6.3
"""Width of a half-width character at the charts' font size of 11."""
_MOST_POINTS = 300
MOST_CLASSES = 50
_MOST_NUMBERED = 15


class Series(NamedTuple):
    """One line of a chart."""

    name: str
    points: Sequence[tuple[float, float | None]]


class Bar(NamedTuple):
    """One bar with its interval."""

    label: str
    figure: Figure
    strong: bool
    """Whether it is the bar that the chart is about."""


def line_chart(title: str, x_label: str, series: Sequence[Series]) -> Markup:
    """Draw curves over a common x axis; points that are not finite leave no mark, and long curves are averaged."""
    lines = [(one.name, _thinned(one.points)) for one in series]
    everything = [point for _, points in lines for point in points]
    if not everything:
        return Markup("")
    legend, legend_height = _legend([name for name, _ in lines] if len(lines) > 1 else [])
    left, right, top, bottom = 52, _CURVES_WIDTH - 14, 12 + legend_height, 198 + legend_height
    x_low, x_high = _range(x for x, _ in everything)
    x_ticks = [value for value in _ticks(x_low, x_high) if x_low <= value <= x_high]
    y_ticks = _ticks(*_range(y for _, y in everything))
    y_low, y_high = y_ticks[0], y_ticks[-1]

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            left + (x - x_low) / (x_high - x_low) * (right - left),
            bottom - (y - y_low) / (y_high - y_low) * (bottom - top),
        )

    parts: list[Markup] = [legend]
    for y in y_ticks:
        _, height = place(x_low, y)
        parts.append(_line(left, height, right, height, "grid"))
        parts.append(_text(left - 6, height + 4, tick(y), "end"))
    parts.append(_line(left, bottom, right, bottom, "axis"))
    for x in x_ticks:
        across, _ = place(x, y_low)
        parts.append(_line(across, bottom, across, bottom + 4, "axis"))
        parts.append(_text(across, bottom + 17, tick(x), "middle"))
    parts.append(_text((left + right) / 2, bottom + 34, x_label, "middle"))
    for position, (_, points) in enumerate(lines):
        placed = [place(*point) for point in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        parts.append(element("polyline", points=path, class_=f"curve series{position % 5}"))
        if len(placed) <= 30:
            parts += [
                element("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=2.5, class_=f"dot series{position % 5}")
                for x, y in placed
            ]
    return _image(title, _CURVES_WIDTH, bottom + 42, parts)


def unit_chart(
    title: str,
    x_label: str,
    y_label: str,
    series: Sequence[Series],
    diagonal: bool,
    shares: Sequence[Sequence[float]] = (),
) -> Markup:
    """Draw curves of shares over shares: both axes go from 0 to 1; `diagonal` is a dashed line to compare with.

    With `shares` each point has a dot, larger for a larger share of all rows.
    """
    if not any(line.points for line in series):
        return Markup("")
    legend, legend_height = _legend([line.name for line in series] if len(series) > 1 else [])
    side, left, top = 260, 52, 24 + legend_height

    def place(x: float, y: float) -> tuple[float, float]:
        return left + min(max(x, 0.0), 1.0) * side, top + (1 - min(max(y, 0.0), 1.0)) * side

    parts: list[Markup] = [legend, _text(left - 40, top - 10, y_label, "start")]
    for value in (0.0, 0.25, 0.5, 0.75, 1.0):
        across, height = place(value, value)
        parts.append(_line(left, height, left + side, height, "grid"))
        parts.append(_text(left - 6, height + 4, tick(value), "end"))
        parts.append(_line(across, top + side, across, top + side + 4, "axis"))
        parts.append(_text(across, top + side + 17, tick(value), "middle"))
    parts.append(_line(left, top + side, left + side, top + side, "axis"))
    if diagonal:
        parts.append(_line(*place(0, 0), *place(1, 1), "diagonal"))
    for position, line in enumerate(series):
        placed = [place(x, y) for x, y in line.points if y is not None]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        parts.append(element("polyline", points=path, class_=f"curve series{position % 5}"))
        for (x, y), part in zip(placed, shares[position] if shares else (), strict=False):
            radius = 1.5 + 5 * math.sqrt(part)
            parts.append(
                element("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=f"{radius:.1f}", class_=f"dot series{position % 5}")
            )
    parts.append(_text(left + side / 2, top + side + 34, x_label, "middle"))
    return _image(title, _CURVES_WIDTH, top + side + 42, parts, style="max-width:24rem")


def bar_chart(title: str, bars: Sequence[Bar]) -> Markup:
    """Draw horizontal bars from zero, each under its label and figure, with its interval as a whisker."""
    ends = [
        end for bar in bars for end in (bar.figure["value"], bar.figure["low"], bar.figure["high"]) if end is not None
    ]
    ends = [end for end in ends if math.isfinite(end)]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    if low >= 0 and high <= 1:
        high = 1.0  # fractions are shown on their whole scale
    ticks = _ticks(low, high)
    low, high = ticks[0], ticks[-1]
    left, right, row = 8, _BARS_WIDTH - 14, 42
    bottom = row * len(bars) + 6

    def place(value: float | None) -> float:
        within = 0.0 if value is None or math.isnan(value) else min(max(value, low), high)
        return left + (within - low) / (high - low) * (right - left)

    parts: list[Markup] = []
    for value in ticks:
        for position in range(len(bars)):  # beside the bars only: a line through the labels would be in the way
            top = position * row + 20
            parts.append(_line(place(value), top, place(value), top + 20, "axis" if value == 0 else "grid"))
        anchor = "start" if value == ticks[0] else "end" if value == ticks[-1] else "middle"
        parts.append(_text(place(value), bottom + 15, tick(value), anchor))
    for position, bar in enumerate(bars):
        top = position * row
        kind = "strong" if bar.strong else "plain"
        parts.append(_text(left, top + 17, shortened(bar.label, 32), "start", f"label {kind}"))
        written = f"{figure(bar.figure['value'])} {interval(bar.figure)}".strip()
        parts.append(_text(right, top + 17, written, "end", f"label {kind}"))
        start, end = sorted((place(0.0), place(bar.figure["value"])))
        parts.append(
            element("rect", x=f"{start:.1f}", y=top + 24, width=f"{end - start:.1f}", height=12, class_=f"bar {kind}")
        )
        if bar.figure["low"] is not None and bar.figure["high"] is not None:
            first, last = place(bar.figure["low"]), place(bar.figure["high"])
            parts.append(_line(first, top + 30, last, top + 30, "whisker"))
            parts += [_line(cap, top + 26, cap, top + 34, "whisker") for cap in (first, last)]
    return _image(title, _BARS_WIDTH, bottom + 22, parts)


def heat_map(title: str, labels: Sequence[str], matrix: Sequence[Sequence[int]]) -> Markup:
    """Draw a confusion matrix, truth down and prediction across, shaded by the share of its row.

    Cells carry their number up to 15 classes; over 50 classes nothing is drawn.
    """
    size = len(labels)
    if not 0 < size <= MOST_CLASSES:
        return Markup("")
    cell = 44 if size <= _MOST_NUMBERED else 20
    names = [shortened(label, 16) for label in labels]
    margin = max(map(width_of, names)) * _COLUMN
    left, top = margin + 12, margin * 0.71 + 18  # column heads are turned by 45°
    parts: list[Markup] = []
    for position, name in enumerate(names):
        middle = (position + 0.5) * cell
        parts.append(_text(left - 8, top + middle + 4, name, "end"))
        turned = f"rotate(-45 {left + middle:.1f} {top - 8:.1f})"
        parts.append(
            element("text", name, x=f"{left + middle:.1f}", y=f"{top - 8:.1f}", class_="label", transform=turned)
        )
    for i, row in enumerate(matrix):
        total = sum(row) or 1
        for j, number in enumerate(row):
            x, y = left + j * cell, top + i * cell
            hint = element(
                "title", f"{labels[i]} → {labels[j]}: {count(number)} ({share(number / total)} of {labels[i]})"
            )
            shade = f"{number / total:.3f}"
            parts.append(element("rect", x=f"{x:.1f}", y=f"{y:.1f}", width=cell, height=cell, class_="cell"))
            parts.append(
                element(
                    "rect", hint, x=f"{x:.1f}", y=f"{y:.1f}", width=cell, height=cell,
                    class_="heat" if i == j else "heat wrong", fill_opacity=shade,
                )
            )  # fmt: skip
            if number and size <= _MOST_NUMBERED:
                kind = "label onheat" if number / total > 0.75 else "label number"
                parts.append(_text(x + cell / 2, y + cell / 2 + 4, count(number), "middle", kind))
    width, height = left + size * cell + margin * 0.71 + 4, top + size * cell + 4
    # A wide map keeps its size and is scrolled, where the other charts shrink to the screen.
    return _image(title, width, height, parts, style=f"width:{width:.0f}px;max-width:none")


class Axis(NamedTuple):
    """One upright axis of parallel coordinates."""

    label: str
    ticks: Sequence[tuple[float, str]]
    """Marks by their height, 0 (below) to 1."""


class Path(NamedTuple):
    """One line across all axes."""

    heights: Sequence[float | None]
    """By axis, 0 to 1; the line ends at the first None."""
    shade: float
    """0 (pale) to 1."""
    strong: bool
    """Whether it is the line that the chart is about."""


def parallel_coordinates(title: str, axes: Sequence[Axis], paths: Sequence[Path]) -> Markup:
    """Draw upright axes side by side, and a line across them for each path; the strong ones lie on top."""
    if len(axes) < 2 or not paths:
        return Markup("")
    gap, left, top, height = 110, 60, 30, 190
    parts: list[Markup] = []
    for path in sorted(paths, key=lambda path: (path.strong, path.shade)):
        heights = list(path.heights)
        known = heights[: heights.index(None)] if None in heights else heights
        points = " ".join(
            f"{left + gap * place:.1f},{top + height * (1 - value):.1f}"
            for place, value in enumerate(known)
            if value is not None
        )
        kind = "curve series1 strong" if path.strong else "curve series0"
        opacity = 1 if path.strong else round(0.12 + 0.6 * path.shade, 2)
        parts.append(element("polyline", points=points, class_=kind, stroke_opacity=opacity))
    for place, axis in enumerate(axes):
        across = left + gap * place
        parts.append(_line(across, top, across, top + height, "axis"))
        parts.append(_text(across, top - 12, shortened(axis.label, 17), "middle", "label plain"))
        for value, written in axis.ticks:
            level = top + height * (1 - value)
            parts.append(_line(across - 4, level, across, level, "axis"))
            parts.append(_text(across - 7, level + 4, shortened(written, 12), "end"))
    width = left + gap * (len(axes) - 1) + 60
    return _image(title, width, top + height + 14, parts, style=f"width:{width}px;max-width:none")


def _image(title: str, width: float, height: float, parts: Sequence[Markup], style: str | None = None) -> Markup:
    box = f"0 0 {width:.0f} {height:.0f}"
    return element("svg", *parts, viewBox=box, role="img", aria_label=title, class_="chart", style=style)


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    return element("line", x1=f"{x1:.1f}", y1=f"{y1:.1f}", x2=f"{x2:.1f}", y2=f"{y2:.1f}", class_=kind)


def _text(x: float, y: float, text: str, anchor: str, kind: str = "label") -> Markup:
    return element("text", text, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor, class_=kind)


def _legend(names: Sequence[str]) -> tuple[Markup, int]:
    """Give the legend, wrapped to the chart's width, and its height."""
    parts: list[Markup] = []
    x, y = 52.0, 12
    for position, name in enumerate(names):
        name = shortened(name, 40)
        width = 26 + width_of(name) * _COLUMN + 14
        if x > 52 and x + width > _CURVES_WIDTH:
            x, y = 52.0, y + 16
        parts.append(_line(x, y - 4, x + 18, y - 4, f"curve series{position % 5}"))
        parts.append(_text(x + 24, y, name, "start"))
        x += width
    return joined(parts), y


def _thinned(points: Sequence[tuple[float, float | None]]) -> list[tuple[float, float]]:
    """Leave points that are not finite out, and average neighbours where a curve has more than a screen can show."""
    finite = [(x, y) for x, y in points if y is not None and math.isfinite(y)]
    size = math.ceil(len(finite) / _MOST_POINTS) or 1
    groups = [finite[start : start + size] for start in range(0, len(finite), size)]
    return [
        (math.fsum(x for x, _ in group) / len(group), math.fsum(y for _, y in group) / len(group)) for group in groups
    ]


def _range(values: Iterable[float]) -> tuple[float, float]:
    """Give the smallest and the largest value, a little apart where they are equal."""
    numbers = list(values)
    low, high = min(numbers), max(numbers)
    if low == high:
        pad = abs(low) / 2 or 0.5
        return low - pad, high + pad
    return low, high


def _ticks(low: float, high: float) -> list[float]:
    """Give about five round numbers that enclose a range."""
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [position * step for position in range(first, last + 1)]
