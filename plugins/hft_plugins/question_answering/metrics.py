"""Exact match and F1 of answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from hft_core import Facts, Metric, Prediction
from hft_plugins.question_answering.scoring import Rules, score


class AnswerMetric(Metric):
    """Base of the metrics of answers: a mean over questions, of the best of the right answers to each.

    A question without an answer is right with none, and with anything else wrong.
    """

    rules: Rules | None = None
    """By whose evaluation script: `squad` (that of SQuAD 2.0, which says what 1.1 says wherever a question has an answer with
    a word in it), `squad-1.1`, or `cmrc` (CMRC 2018). Default: `cmrc` where most training answers have Chinese characters,
    else `squad`."""

    needs: ClassVar[frozenset[str]] = frozenset({"answer"})
    figure: ClassVar[int]
    """Place of its figure in a `Score`."""

    def rows(
        self, predictions: Sequence[Prediction], truths: Sequence[Prediction], facts: Facts
    ) -> NDArray[np.float64]:
        """Give figure and 1 in the columns of questions with an answer, or of those without, float64 [rows, 4]."""
        rules = self.rules or facts["rules"]
        statistics = np.zeros((len(truths), 4))
        for row, (found, truth) in enumerate(zip(predictions, truths, strict=True)):
            right = [answer for answer in truth["answer"] if answer is not None]
            value = score(found["answer"] or "", right, rules)[self.figure]
            statistics[row] = (value, 1, 0, 0) if right else (0, 0, value, 1)
        return statistics

    def value(self, statistics: NDArray[np.float64], facts: Facts) -> dict[str, float]:
        """Give the mean, 0 to 1; where there may be no answer, also that of the questions with and of those without one."""
        answered, answerable, empty, unanswerable = statistics.tolist()
        name = self.type_name()
        values = {name: (answered + empty) / max(1.0, answerable + unanswerable)}
        if facts["no_answer"]:
            values[f"{name}[answer]"] = answered / max(1.0, answerable)
            values[f"{name}[no answer]"] = empty / max(1.0, unanswerable)
        return values


class AnswerExactMatch(AnswerMetric):
    """Exact match: the share of questions whose answer is a right one, case and punctuation (and articles) aside."""

    type: Literal["answer-exact-match"]

    figure: ClassVar[int] = 0


class AnswerF1(AnswerMetric):
    """F1 of answers: of words that answer and right answer share; in Chinese, of the longest run of characters.

    By SQuAD's rules, words are counted wherever they stand; by CMRC's, only the longest stretch that both have counts, and
    what is not Chinese is cut into words by NLTK's tokenizer.
    """

    type: Literal["answer-f1"]

    figure: ClassVar[int] = 1
