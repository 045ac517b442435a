"""ROUGE equals rouge-score's on a thousand English pairs; Chinese counts by characters."""

from __future__ import annotations

import random

import numpy as np
import pytest

from hft_plugins.metrics.summaries import Rouge, words

from .generated import pairs


def rows(texts: list[str]) -> list[dict[str, str]]:
    return [{"text": text} for text in texts]


def english() -> list[tuple[str, str]]:
    return [pair for pair in pairs(3200, seed=1) if (pair[0] + pair[1]).isascii()][:1000]


def test_rouge_is_rouge_scores() -> None:
    from rouge_score.rouge_scorer import RougeScorer

    library = RougeScorer(["rougeL", "rouge1", "rouge2"])
    cases = english()
    assert len(cases) == 1000
    found = Rouge(type="rouge").rows(rows([one for one, _ in cases]), rows([two for _, two in cases]), {})
    for (written, wanted), row in zip(cases, found, strict=True):
        scores = library.score(wanted, written)
        assert row[:3] == pytest.approx([scores[name].fmeasure for name in ("rougeL", "rouge1", "rouge2")], abs=1e-12)
    assert 0.2 < found[:, 0].mean() < 0.95  # neither all alike nor all different


def test_it_is_the_mean_over_rows() -> None:
    metric = Rouge(type="rouge")
    written, wanted = rows(["a b c d", "x"]), rows(["a c b d", "y"])
    # In common: a c d or a b d; all four words; none of the pairs.
    assert metric.measure(written, wanted, {}) == {"rouge": 0.375, "rouge[1]": 0.5, "rouge[2]": 0.0}
    assert metric.value(np.zeros(4), {}) == {"rouge": 0.0, "rouge[1]": 0.0, "rouge[2]": 0.0}
    assert metric.rows([], [], {}).shape == (0, 4)


def test_words_of_many_scripts() -> None:
    assert words("Über 2,5 cm_hoch: 我们ok去 テスト ไทย") == [
        "über", "2", "5", "cm", "hoch", "我", "们", "ok", "去", "テ", "ス", "ト", "ไ", "ท", "ย",
    ]  # fmt: skip


def test_chinese_is_not_dropped() -> None:
    measured = Rouge(type="rouge").measure(rows(["今天天气好"]), rows(["今天的天气很好"]), {})
    assert measured["rouge"] == pytest.approx(2 * 5 / 12)
    assert measured["rouge[1]"] == pytest.approx(2 * 5 / 12)
    assert measured["rouge[2]"] == pytest.approx(2 * 2 / 10)


def test_the_longest_common_subsequence_of_long_texts() -> None:
    draw = random.Random(0)
    one, two = ([draw.choice("abcdefg") for _ in range(300)] for _ in range(2))
    table = np.zeros((301, 301), int)
    for i, mine in enumerate(one, 1):
        for j, theirs in enumerate(two, 1):
            table[i, j] = table[i - 1, j - 1] + 1 if mine == theirs else max(table[i - 1, j], table[i, j - 1])
    found = Rouge(type="rouge").measure(rows([" ".join(one)]), rows([" ".join(two)]), {})["rouge"]
    assert found == pytest.approx(table[-1, -1] / 300)
