"""How an answer is compared with a right one: the rules of SQuAD's and CMRC's evaluation scripts.

SQuAD: Rajpurkar et al. 2016 and 2018, evaluate-v1.1.py and evaluate-v2.0.py. CMRC 2018: Cui et al. 2019,
cmrc2018_evaluate.py. A missing answer is the empty text.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple

Rules = Literal["squad", "squad-1.1", "cmrc"]

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
# The script's list, but for its two-character ellipsis, which matches no character.
_CMRC_MARKS = frozenset("-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
_HAN = re.compile("[\u4e00-\u9fa5]")  # what the script takes for Chinese


class Score(NamedTuple):
    """What an answer is worth, 0 to 1."""

    exact: float
    f1: float


def score(answer: str, right: Sequence[str], rules: Rules) -> Score:
    """Compare an answer with every right one, and give the best of each figure; no right one means: there is no answer."""
    if rules == "squad":  # a right answer that loses all in normalisation is none
        right = [one for one in right if _squad(one)]
        answer = answer if _squad(answer) else ""
    if not right or (rules == "squad" and not answer):
        same = float(not right and not answer)
        return Score(same, same)
    compare: Callable[[str, str], Score] = _as_cmrc if rules == "cmrc" else _as_squad
    found = [compare(answer, one) for one in right]
    return Score(max(one.exact for one in found), max(one.f1 for one in found))


def _as_squad(answer: str, right: str) -> Score:
    """F1 of the words that both have, as often as both have them."""
    one, other = _squad(answer), _squad(right)
    words, wanted = one.split(), other.split()
    return Score(float(one == other), _f1((Counter(words) & Counter(wanted)).total(), len(words), len(wanted)))


def _squad(text: str) -> str:
    """Lower case, without punctuation and articles, one space between words."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def _as_cmrc(answer: str, right: str) -> Score:
    """F1 of the longest run of characters (of words, where they are not Chinese) that both have."""
    one, other = _pieces(answer), _pieces(right)
    return Score(float(_cmrc(answer) == _cmrc(right)), _f1(_longest_common(one, other), len(one), len(other)))


def _cmrc(text: str) -> str:
    """Lower case, without the script's marks."""
    return "".join(character for character in text.lower().strip() if character not in _CMRC_MARKS)


def _pieces(text: str) -> list[str]:
    """Chinese characters one by one, and what stands between them as words."""
    pieces: list[str] = []
    other = ""
    for character in _cmrc(text):
        if _HAN.match(character):
            pieces += [*_words(other), character]
            other = ""
        else:
            other += character
    return [*pieces, *_words(other)]


@lru_cache(maxsize=10_000)
def _words(text: str) -> tuple[str, ...]:
    """Words as the script cuts them. Where a run holds several sentences, they are not cut apart first."""
    if not text.strip():
        return ()
    from nltk.tokenize import NLTKWordTokenizer

    return tuple(_tokenizer(NLTKWordTokenizer).tokenize(text))


@lru_cache(maxsize=1)
def _tokenizer(kind: Any) -> Any:
    return kind()


def _longest_common(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest run of pieces that stands in both."""
    longest, ending = 0, [0] * (len(other) + 1)  # at j: length of the common run that ends with other[j - 1]
    for piece in one:
        before, ending = ending, [0] * (len(other) + 1)
        for place, against in enumerate(other, 1):
            if piece == against:
                ending[place] = before[place - 1] + 1
                longest = max(longest, ending[place])
    return longest


def _f1(shared: int, first: int, second: int) -> float:
    """Harmonic mean of shared / first and shared / second."""
    return 2 * shared / (first + second) if shared else 0.0


def rules_of(answers: Sequence[str]) -> Rules:
    """The rules that fit these answers: CMRC's where most have a Chinese character."""
    return "cmrc" if sum(_HAN.search(answer) is not None for answer in answers) * 2 > len(answers) else "squad"
