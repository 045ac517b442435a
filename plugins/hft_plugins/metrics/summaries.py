"""Metrics of summaries."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from hft_core import Facts, Metric, Prediction

_ALONE = (
    "[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff"
    "\U00020000-\U0003ffff]"
)
"""Characters of scripts without spaces: Chinese, Japanese, Thai, Lao, Tibetan, Burmese, Khmer."""
_WORD = re.compile(rf"{_ALONE}|(?:(?!{_ALONE})[^\W_])+")


class Rouge(Metric):
    """ROUGE (Lin 2004): words, pairs of words and the longest common subsequence that a text shares with the wanted one.

    Each is an F-score per row (β = 1), averaged over rows. Texts are lower-cased; a word is a stretch of letters and
    digits, and in scripts without spaces, such as Chinese, each character is one. On texts of ASCII the figures are those of
    Google's rouge-score without stemming, which drops all other letters.
    """

    type: Literal["rouge"]

    needs: ClassVar[frozenset[str]] = frozenset({"text"})

    def rows(
        self, predictions: Sequence[Prediction], truths: Sequence[Prediction], facts: Facts
    ) -> NDArray[np.float64]:
        """Give the row's ROUGE-L, ROUGE-1 and ROUGE-2, each 0 to 1, and 1; float64 [rows, 4]."""
        pairs = zip(predictions, truths, strict=True)
        scores = [_scores(words(one["text"]), words(two["text"])) for one, two in pairs]
        return np.array(scores, np.float64).reshape(len(truths), 4)

    def value(self, statistics: NDArray[np.float64], facts: Facts) -> dict[str, float]:
        """Give ``{"rouge": …, "rouge[1]": …, "rouge[2]": …}``, 0 to 1; the first is ROUGE-L."""
        longest, one, two = (statistics[:3] / max(1.0, statistics[3])).tolist()
        return {"rouge": longest, "rouge[1]": one, "rouge[2]": two}


def words(text: str) -> list[str]:
    """Give the words of a text as ROUGE counts them here."""
    return _WORD.findall(text.lower())


def _scores(written: list[str], wanted: list[str]) -> list[float]:
    return [
        _f_score(_common(written, wanted), len(written), len(wanted)),
        *(_n_grams(written, wanted, size) for size in (1, 2)),
        1.0,
    ]


def _n_grams(written: list[str], wanted: list[str], size: int) -> float:
    one, two = (Counter(zip(*(words[start:] for start in range(size)), strict=False)) for words in (written, wanted))
    return _f_score((one & two).total(), one.total(), two.total())


def _f_score(shared: int, written: int, wanted: int) -> float:
    """2PR / (P + R), which is twice what is shared out of all there is."""
    return 2 * shared / (written + wanted) if shared else 0.0


def _common(one: list[str], two: list[str]) -> int:
    """The length of the longest common subsequence, by rows of bits (Hyyrö 2004, "Bit-parallel LCS-length computation
    revisited"): a summary of hundreds of words takes no table of their product."""
    places: dict[str, int] = {}
    for place, word in enumerate(one):
        places[word] = places.get(word, 0) | 1 << place
    whole = (1 << len(one)) - 1
    open_ = whole
    for word in two:
        taken = open_ & places.get(word, 0)
        open_ = ((open_ + taken) | (open_ - taken)) & whole
    return len(one) - open_.bit_count()
