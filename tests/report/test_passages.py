"""Texts with marks: told apart by more than colour, and no more than text wherever they come from."""

from __future__ import annotations

import re

from hft_core.report.html import render
from hft_core.report.passages import passages


def marks(*marks: tuple[int, int, float]) -> list[dict]:
    return [{"start": start, "end": end, "weight": weight} for start, end, weight in marks]


def test_marks_have_a_side_a_strength_and_a_number() -> None:
    shown = passages(
        [{"title": "Row 1", "text": "味道很好，但是贵", "marks": marks((2, 4, 1.0), (4, 5, 0.05), (7, 8, -0.4))}]
    )
    assert (
        '味道<mark class="for s5" title="+1.00">很好</mark>，但是<mark class="against s2" title="-0.40">贵</mark>'
        in shown
    )
    assert "<figcaption>Row 1</figcaption>" in shown
    assert shown.index("speaks against") < shown.index("味道")  # how to read it stands before it


def test_every_strength_has_a_style_and_sides_differ_in_their_line(report) -> None:
    page = render(report)
    weights = [(-1) ** step * step / 100 for step in range(101)]
    text = "x" * len(weights)
    shown = passages([{"title": "", "text": text, "marks": marks(*((n, n + 1, w) for n, w in enumerate(weights)))}])
    assert "<figcaption>" not in shown
    assert set(re.findall(r'class="(?:for|against) (s\d)"', shown)) == {"s1", "s2", "s3", "s4", "s5"}
    for strength in ("s1", "s5"):
        assert f"mark.{strength} " in page
    assert re.search(r"mark\.against {[^}]*border-bottom-style: dashed", page)
    assert re.sub("<[^>]+>", "", shown).endswith(text)


def test_texts_are_escaped_inside_marks_and_beside_them(report) -> None:
    text = "<script>alert(1)</script> & <b>"
    report["sections"] = [
        {
            "title": "Words", "text": "", "table": [], "svg": "", "data": {},
            "passages": [{"title": "<i>", "text": text, "marks": marks((0, 8, 1.0), (9, 14, -1.0))}],
        }
    ]  # fmt: skip
    page = render(report)
    assert "<script>" not in page
    assert '<mark class="for s5" title="+1.00">&lt;script&gt;</mark>a' in page
    assert "<figcaption>&lt;i&gt;</figcaption>" in page


def test_section_of_a_run_before_there_were_passages(report) -> None:
    for section in report["sections"]:
        section.pop("passages", None)
    assert '<figure class="passage">' not in render(report)
