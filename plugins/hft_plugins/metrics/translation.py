"""Metrics of translations by sacrebleu."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from hft_core import Facts, Metric, PluginError, Prediction

_ORDER = 4


class Bleu(Metric):
    """BLEU (Papineni et al. 2002) by sacrebleu (extra `text`): corpus BLEU, exponentially smoothed, divided by 100.

    n-grams (1 to 4) and lengths are counted row by row and added up, so the figure is that of sacrebleu's `corpus_score`
    with one wanted text a row, and not a mean over rows.
    """

    type: Literal["bleu"]
    tokenize: Literal["13a", "intl", "zh", "char", "none"] = "13a"
    """sacrebleu's tokeniser: `13a` is the usual one, `intl` knows Unicode's punctuation, `zh` takes Chinese characters one
    by one, `char` all characters, `none` splits at spaces. Figures compare only where it is the same."""
    lowercase: bool = False
    """Whether case does not count."""

    packages: ClassVar[tuple[str, ...]] = ("sacrebleu",)
    needs: ClassVar[frozenset[str]] = frozenset({"text"})

    def rows(
        self, predictions: Sequence[Prediction], truths: Sequence[Prediction], facts: Facts
    ) -> NDArray[np.float64]:
        """Give lengths written and wanted, and of n = 1 to 4 the n-grams that are shared, then those written; [rows, 10]."""
        # With the effective order sacrebleu does not warn of single sentences; it changes their score, not their counts.
        counter = _sacrebleu()(tokenize=self.tokenize, lowercase=self.lowercase, effective_order=True)
        found = [
            counter.sentence_score(one["text"], [two["text"]]) for one, two in zip(predictions, truths, strict=True)
        ]
        statistics = [[score.sys_len, score.ref_len, *score.counts, *score.totals] for score in found]
        return np.array(statistics, np.float64).reshape(len(truths), 2 + 2 * _ORDER)

    def value(self, statistics: NDArray[np.float64], facts: Facts) -> dict[str, float]:
        """Give ``{"bleu": …}``, 0 to 1."""
        written, wanted, *counts = map(int, statistics.tolist())
        score = _sacrebleu().compute_bleu(counts[:_ORDER], counts[_ORDER:], written, wanted, smooth_method="exp")
        return {"bleu": score.score / 100}


def _sacrebleu() -> Any:
    """The library's class."""
    try:
        from sacrebleu.metrics.bleu import BLEU
    except ImportError as error:
        raise PluginError('the metric bleu needs sacrebleu; run: pip install "hft-core[text]"') from error
    return BLEU
