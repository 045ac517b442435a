"""How far "no answer" has to be ahead before it is the answer: the threshold with the best F1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hft_core import Prediction
from hft_plugins.question_answering.scoring import Rules, score
from hft_plugins.question_answering.spans import Found


def best(contexts: Sequence[str], found: Sequence[Found], truths: Sequence[Prediction], rules: Rules) -> float:
    """Give the threshold with the largest mean F1 (as evaluate-v2.0.py finds it); of several, the one nearest to 0.

    It lies in the middle between the two questions that it divides.
    """
    rows = [row for row, one in enumerate(found) if one.places]
    if not rows:
        return 0.0
    ahead = np.array([found[row].none - found[row].logits[0] for row in rows])
    gain = np.zeros(len(rows))  # in F1, where the best stretch is given and not no answer
    for index, row in enumerate(rows):
        right = [answer for answer in truths[row]["answer"] if answer is not None]
        start, end = found[row].places[0]
        gain[index] = score(contexts[row][start:end], right, rules).f1 - float(not right)
    order = np.argsort(ahead, kind="stable")
    ahead, gains = ahead[order], np.concatenate([[0.0], np.cumsum(gain[order])])
    # Cut number k gives answers to the k questions with the least ahead.
    cuts = np.concatenate([[ahead[0] - 1], (ahead[1:] + ahead[:-1]) / 2, [ahead[-1] + 1]])
    divides = np.concatenate([[True], ahead[1:] > ahead[:-1], [True]])  # equal ones cannot be told apart
    possible = np.flatnonzero(divides & (gains >= gains[divides].max() - 1e-9))
    reach = np.concatenate([[-np.inf], ahead]), np.concatenate([ahead, [np.inf]])
    if any(reach[0][cut] <= 0 < reach[1][cut] for cut in possible):
        return 0.0
    return float(cuts[possible[np.argmin(np.abs(cuts[possible]))]])
