"""Confusions of few classes and of very many."""

from __future__ import annotations

import json
from typing import Any

from hft_core.pipeline.report_figures import _confusion
from hft_core.report.html import render


def test_of_very_many_classes_the_worst_pairs_are_kept_and_shown(report: Any) -> None:
    labels = [f"类{place}" for place in range(3000)]
    pairs = [(label, label) for label in labels] + [("类7", "类8")] * 3 + [("类9", "类1")]
    found = _confusion(labels, pairs)
    assert len(json.dumps(found)) < 100_000
    assert found["worst"] == [
        {"truth": "类7", "predicted": "类8", "rows": 3, "share": 0.75},
        {"truth": "类9", "predicted": "类1", "rows": 1, "share": 0.5},
    ]
    report["confusion"] = found
    page = render(report)
    assert "类7" in page
    assert "75.0 %" in page


def test_of_few_classes_the_whole_table_is_kept() -> None:
    found = _confusion(["a", "b"], [("a", "a"), ("a", "b"), ("b", "b"), ("b", "b")])
    assert found == {"labels": ["a", "b"], "matrix": [[1, 1], [0, 2]]}
