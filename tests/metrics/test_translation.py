"""BLEU and chrF equal sacrebleu's on a thousand generated pairs, whole, in parts, and over rows that are drawn."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from hft_core import PluginError
from hft_plugins.metrics.text import ChrF
from hft_plugins.metrics.translation import Bleu

from .generated import pairs

PAIRS = pairs(1000)


def rows(texts: list[str]) -> list[dict[str, str]]:
    return [{"text": text} for text in texts]


def corpora() -> list[list[tuple[str, str]]]:
    """The whole, parts of ten, and single rows: one of each a thousand cases together."""
    return [PAIRS, *(PAIRS[start : start + 10] for start in range(0, 1000, 10)), *([pair] for pair in PAIRS[:900])]


@pytest.mark.parametrize("tokenize", ["13a", "zh"])
@pytest.mark.parametrize("lowercase", [False, True])
def test_bleu_is_sacrebleus(tokenize: Any, lowercase: bool) -> None:
    from sacrebleu.metrics import BLEU

    metric = Bleu(type="bleu", tokenize=tokenize, lowercase=lowercase)
    library = BLEU(tokenize=tokenize, lowercase=lowercase)
    for corpus in corpora():
        written, wanted = [one for one, _ in corpus], [two for _, two in corpus]
        score = library.corpus_score(written, [wanted]).score / 100
        assert metric.measure(rows(written), rows(wanted), {})["bleu"] == pytest.approx(score, abs=1e-12)


def test_chrf_is_sacrebleus() -> None:
    from sacrebleu.metrics import CHRF

    metric, library = ChrF(type="chrf"), CHRF()
    for corpus in corpora():
        written, wanted = [one for one, _ in corpus], [two for _, two in corpus]
        score = library.corpus_score(written, [wanted]).score / 100
        assert metric.measure(rows(written), rows(wanted), {})["chrf"] == pytest.approx(score, abs=1e-12)


def test_the_tokeniser_is_a_setting_that_matters() -> None:
    written, wanted = rows(["我们今天去公园看电影"]), rows(["我们昨天去公园看电影"])
    assert Bleu(type="bleu", tokenize="13a").measure(written, wanted, {})["bleu"] == 0.0  # one long word
    assert Bleu(type="bleu", tokenize="zh").measure(written, wanted, {})["bleu"] > 0.5


def test_statistics_add_up_to_the_corpus() -> None:
    from sacrebleu.metrics import BLEU

    metric = Bleu(type="bleu")
    statistics = metric.rows(rows([one for one, _ in PAIRS]), rows([two for _, two in PAIRS]), {})
    assert statistics.shape == (1000, 10)
    drawn = np.random.default_rng(0).integers(1000, size=500)  # what a bootstrap does
    score = BLEU().corpus_score([PAIRS[row][0] for row in drawn], [[PAIRS[row][1] for row in drawn]]).score
    assert metric.value(statistics[drawn].sum(axis=0), {})["bleu"] == pytest.approx(score / 100, abs=1e-12)
    assert metric.rows([], [], {}).shape == (0, 10)
    assert metric.value(np.zeros(10), {}) == {"bleu": 0.0}


def test_without_sacrebleu_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics.bleu", None)
    with pytest.raises(PluginError, match=r'pip install "hft-core\[text\]"'):
        Bleu(type="bleu").measure(rows(["a"]), rows(["a"]), {})
