"""Metrics of written texts. The figures of chrF are those of sacrebleu 2.6.0 (chrF2, divided by 100)."""

from __future__ import annotations

import numpy as np
import pytest

from hft_plugins.metrics.text import ChrF, ExactMatch


def rows(texts: list[str]) -> list[dict[str, str]]:
    return [{"text": text} for text in texts]


@pytest.mark.parametrize(
    ("written", "wanted", "score"),
    [
        (
            ["the cat sat on a mat", "今天菜好吃", "", "ab"],
            ["the cat sat on the mat", "今天的菜很好吃", "something", "abc def"],
            0.4053781566471502,
        ),
        (["ab"], ["ab"], 1.0),  # too short for most n
        (["x"], ["y"], 0.0),
        (["hello   world"], ["hello world"], 1.0),
        (["abcdefgh"], ["abc"], 0.6556603773584907),
    ],
)
def test_chrf_is_sacrebleus(written: list[str], wanted: list[str], score: float) -> None:
    metric = ChrF(type="chrf")
    assert metric.measure(rows(written), rows(wanted), {}) == {"chrf": pytest.approx(score, abs=1e-12)}
    statistics = metric.rows(rows(written), rows(wanted), {})
    assert statistics.shape == (len(written), 18)
    assert metric.value(statistics.sum(axis=0), {})["chrf"] == pytest.approx(score, abs=1e-12)


def test_no_rows_have_no_hits() -> None:
    assert ChrF(type="chrf").value(np.zeros(18), {}) == {"chrf": 0.0}
    assert ExactMatch(type="exact-match").value(np.zeros(2), {}) == {"exact-match": 0.0}


def test_exact_match_leaves_out_whitespace_at_the_ends() -> None:
    written, wanted = rows(["a b", " 猫 ", "A", "a  b"]), rows(["a b", "猫", "a", "a b"])
    assert ExactMatch(type="exact-match").measure(written, wanted, {}) == {"exact-match": 0.5}
