"""The evaluation scripts of SQuAD 1.1, SQuAD 2.0 and CMRC 2018 once more, step by step as they describe themselves.

Written from the papers' and the scripts' description, without a look at hft's own code: what it is compared with.
"""

from __future__ import annotations

import re
import string
from collections import Counter

from nltk.tokenize import word_tokenize

# ---- SQuAD ----


def squad_normal(text: str) -> str:
    text = text.lower()
    text = "".join(letter for letter in text if letter not in set(string.punctuation))
    text = re.sub(r"\b(a|an|the)\b", " ", text)
    return " ".join(text.split())


def squad_exact(gold: str, found: str) -> float:
    return float(squad_normal(gold) == squad_normal(found))


def squad_f1(gold: str, found: str, second: bool) -> float:
    gold_words, words = squad_normal(gold).split(), squad_normal(found).split()
    if second and (not gold_words or not words):
        return float(gold_words == words)
    same = sum((Counter(gold_words) & Counter(words)).values())
    if same == 0:
        return 0.0
    precision, recall = same / len(words), same / len(gold_words)
    return 2 * precision * recall / (precision + recall)


def squad(found: str, answers: list[str], second: bool) -> tuple[float, float]:
    """Exact match and F1 of one question; `second`: by the script of SQuAD 2.0."""
    golds = [answer for answer in answers if squad_normal(answer)] if second else answers
    golds = golds or [""]
    return max(squad_exact(gold, found) for gold in golds), max(squad_f1(gold, found, second) for gold in golds)


# ---- CMRC ----

MARKS = [
    "-", ":", "_", "*", "^", "/", "\\", "~", "`", "+", "=", "，", "。", "：", "？", "！", "“", "”", "；", "’", "《", "》",
    "……", "·", "、", "「", "」", "（", "）", "－", "～", "『", "』",
]  # fmt: skip


def cmrc_segments(text: str) -> list[str]:
    segments: list[str] = []
    waiting = ""
    for letter in text.lower().strip():
        if letter in MARKS:
            continue
        if "\u4e00" <= letter <= "\u9fa5":
            segments.extend(word_tokenize(waiting, preserve_line=True))
            segments.append(letter)
            waiting = ""
        else:
            waiting += letter
    segments.extend(word_tokenize(waiting, preserve_line=True))
    return segments


def cmrc_bare(text: str) -> str:
    return "".join(letter for letter in text.lower().strip() if letter not in MARKS)


def longest_common(one: list[str], other: list[str]) -> int:
    """By trying every run of the first, longest first."""
    for size in range(min(len(one), len(other)), 0, -1):
        runs = {tuple(other[at : at + size]) for at in range(len(other) - size + 1)}
        if any(tuple(one[at : at + size]) in runs for at in range(len(one) - size + 1)):
            return size
    return 0


def cmrc(found: str, answers: list[str]) -> tuple[float, float]:
    """Exact match and F1 of one question."""
    exact = max(float(cmrc_bare(answer) == cmrc_bare(found)) for answer in answers)
    best = 0.0
    for answer in answers:
        gold, mine = cmrc_segments(answer), cmrc_segments(found)
        common = longest_common(gold, mine)
        if common:
            precision, recall = common / len(mine), common / len(gold)
            best = max(best, 2 * precision * recall / (precision + recall))
    return exact, best
