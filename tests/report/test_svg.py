import math
import re

from hft_core.report.markup import shortened, width_of
from hft_core.report.svg import Axis, Bar, Path, Series, bar_chart, heat_map, line_chart, parallel_coordinates


def numbers(attribute, text):
    return [float(value) for value in re.findall(rf' {attribute}="(-?[\d.]+)"', text)]


def test_bars_and_whiskers_are_drawn_to_scale():
    chart = bar_chart(
        "f1",
        [
            Bar("model", {"value": 0.8, "low": 0.75, "high": 0.85}, True),
            Bar("other", {"value": 0.4, "low": None, "high": None}, False),
        ],
    )
    widths = [float(value) for value in re.findall(r'<rect [^>]*width="([\d.]+)"', chart)]
    assert widths[0] / widths[1] == 2
    unit = widths[0] / 0.8
    whisker = re.findall(r'<line x1="([\d.]+)" y1="[\d.]+" x2="([\d.]+)" y2="[\d.]+" class="whisker">', chart)
    assert len(whisker) == 3  # the line and its two caps, of one bar only
    assert abs(float(whisker[0][1]) - float(whisker[0][0]) - 0.1 * unit) < 0.2


def test_bars_take_any_figure():
    odd = [math.inf, -0.3, 0.0, math.nan, 431.5]
    chart = bar_chart("x", [Bar(str(v), {"value": v, "low": None, "high": None}, False) for v in odd])
    assert "nan" not in " ".join(re.findall(r'(?:x|width)="([^"]*)"', chart))
    assert bar_chart("none", []).startswith("<svg")


def test_curves_stay_inside_and_leave_gaps_for_what_is_not_finite():
    points = [(float(step), 1 / (step + 1)) for step in range(50_000)]
    points[7] = (7.0, math.nan)
    points[9] = (9.0, math.inf)
    chart = line_chart("loss", "step", [Series("a", points), Series("b", [(100.0, 0.5)])])
    drawn = re.findall(r'points="([^"]+)"', chart)
    assert len(drawn) == 2
    pairs = [tuple(map(float, pair.split(","))) for pair in drawn[0].split()]
    assert 100 < len(pairs) <= 300
    width, height = map(float, re.search(r'viewBox="0 0 (\d+) (\d+)"', chart).groups())
    assert all(0 <= x <= width and 0 <= y <= height for x, y in pairs)
    assert pairs[0][1] < pairs[-1][1]  # a falling loss falls on the screen


def test_a_flat_curve_and_no_curve():
    assert "polyline" in line_chart("lr", "step", [Series("lr", [(1.0, 0.0), (2.0, 0.0)])])
    assert line_chart("none", "step", [Series("a", []), Series("b", [(1.0, math.nan)])]) == ""


def test_the_heat_map_shades_by_the_share_of_the_row():
    chart = heat_map("confusion", ["好评", "差评"], [[9, 1], [5, 5]])
    assert numbers("fill-opacity", chart) == [0.9, 0.1, 0.5, 0.5]
    assert "好评 → 差评: 1 (10.0 % of 好评)" in chart
    assert heat_map("many", [str(i) for i in range(51)], [[0] * 51] * 51) == ""


def test_chinese_is_two_columns_wide():
    assert width_of("外卖ab") == 6
    assert shortened("外卖评论很好", 7) == "外卖评…"
    assert shortened("short", 5) == "short"


def test_parallel_coordinates_end_where_a_value_is_unknown():
    axes = [Axis("lr", [(0.0, "1e-5"), (1.0, "1")]), Axis("层", []), Axis("f1", [])]
    paths = [Path([0.0, 0.5, 1.0], 1.0, True), Path([1.0, None, 0.2], 0.0, False)]
    chart = parallel_coordinates("<t>", axes, paths)
    assert 'points="60.0,30.0"' in chart, "the pale one first, and only to its last value"
    assert 'points="60.0,220.0 170.0,125.0 280.0,30.0"' in chart
    assert chart.index("60.0,30.0") < chart.index("60.0,220.0")
    assert "&lt;t&gt;" in chart
    assert parallel_coordinates("t", axes[:1], paths) == parallel_coordinates("t", axes, []) == ""
