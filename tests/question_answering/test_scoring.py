"""Exact match and F1 are those of the evaluation scripts, on generated answers and on some that are known to be hard."""

from __future__ import annotations

import random

import numpy as np
import pytest

from hft_plugins.question_answering.metrics import AnswerExactMatch, AnswerF1
from hft_plugins.question_answering.scoring import Rules, rules_of, score

from . import reference

ENGLISH = [
    "the",
    "a",
    "An",
    "Denver",
    "Broncos",
    "24",
    "–",
    "10,",
    "(NFL)",
    "U.S.",
    "o'clock",
    "don't",
    "%",
    "Café",
    "“x”",
    "",
]
CHINESE = [
    "光荣",
    "和",
    "ω-force",
    "，",
    "。",
    "《战国无双3》",
    "1990年",
    "Koei",
    " ",
    "U.S.",
    "don't",
    "北京",
    "大学",
    "……",
    "-",
    "龥龦",
]


def cases(words: list[str], between: str, seed: int, count: int = 1000) -> list[tuple[str, list[str]]]:
    """Answers, each with one to three right ones that are often like it, or none alike."""
    draw = random.Random(seed)

    def phrase() -> list[str]:
        return draw.choices(words, k=draw.randint(1, 5))

    def changed(found: list[str]) -> list[str]:
        kept = [word for word in found if draw.random() > 0.3]
        return [*kept, *phrase()[:1]] if draw.random() < 0.5 else kept or found

    made = []
    for _ in range(count):
        found = phrase()
        right = [changed(found) if draw.random() < 0.8 else phrase() for _ in range(draw.randint(1, 3))]
        made.append((between.join(found), [between.join(one) for one in right]))
    return made


def flat(case: tuple[str, list[str]]) -> list[str]:
    return [case[0], *case[1]]


@pytest.mark.parametrize("second", [False, True])
def test_squad_on_generated_cases(second: bool) -> None:
    rules: Rules = "squad" if second else "squad-1.1"
    none = [("", []), ("x", []), ("the", []), ("", ["x"]), ("%", ["x"]), ("x", ["%"]), ("", ["the"])] if second else []
    seen = set()
    for found, right in [*cases(ENGLISH, " ", seed=second), *none]:
        wanted = reference.squad(found, right, second)
        assert score(found, right, rules) == pytest.approx(wanted), (found, right)
        seen.add(wanted)
    assert len(seen) > 15  # neither all right nor all wrong


@pytest.mark.slow
def test_squad_equals_torchmetrics() -> None:
    from torchmetrics.functional.text import squad

    # Where nothing is left of an answer, torchmetrics goes by neither script.
    made = [case for case in cases(ENGLISH, " ", seed=7, count=1500) if all(map(reference.squad_normal, flat(case)))]
    assert len(made) > 1000
    predictions = [{"id": str(row), "prediction_text": found} for row, (found, _) in enumerate(made)]
    answers = [
        {"id": str(row), "answers": {"text": right, "answer_start": [0] * len(right)}}
        for row, (_, right) in enumerate(made)
    ]
    wanted = squad(predictions, answers)
    found = np.mean([score(*case, "squad-1.1") for case in made], axis=0)
    assert 100 * found == pytest.approx([float(wanted["exact_match"]), float(wanted["f1"])], rel=1e-5)


def test_cmrc_on_generated_cases() -> None:
    seen = set()
    for found, right in cases(CHINESE, "", seed=3):
        wanted = reference.cmrc(found, right)
        assert score(found, right, "cmrc") == pytest.approx(wanted), (found, right)
        seen.add(wanted)
    assert len(seen) > 40


@pytest.mark.parametrize(
    ("found", "right", "rules", "exact", "f1"),
    [
        ("The Denver Broncos!", ["denver broncos"], "squad", 1, 1),
        ("Broncos", ["Denver Broncos", "the Broncos team"], "squad", 0, 2 / 3),  # the best of several
        ("a b", ["b a"], "squad", 1, 1),  # "a" is an article
        ("x y", ["y x"], "squad", 0, 1),  # words count, not their order
        ("the", [], "squad", 1, 1),  # nothing is left of it: no answer
        ("the", ["the"], "squad", 1, 1),
        ("the", ["the"], "squad-1.1", 1, 0),
        ("光荣和ω-force", ["光荣和ω-force"], "cmrc", 1, 1),
        ("光荣，和", ["光荣和"], "cmrc", 1, 1),  # marks do not count
        ("荣光", ["光荣"], "cmrc", 0, 0.5),  # the order does
        ("北京大学的", ["北京大学"], "cmrc", 0, 8 / 9),
        ("Ω-Force社", ["ω-force"], "cmrc", 0, 2 / 3),  # a word is one piece
        ("", [], "cmrc", 1, 1),
        ("无", [], "cmrc", 0, 0),
        ("", ["北京"], "cmrc", 0, 0),
    ],
)
def test_by_hand(found: str, right: list[str], rules: Rules, exact: float, f1: float) -> None:
    assert score(found, right, rules) == pytest.approx((exact, f1))


def test_the_rules_follow_the_language_of_the_answers() -> None:
    assert rules_of(["北京", "1990年", "x"]) == "cmrc"
    assert rules_of(["Paris", "北京"]) == "squad"


def test_the_metrics_tell_questions_with_and_without_answer_apart() -> None:
    predictions = [{"answer": "Paris"}, {"answer": None}, {"answer": "x"}, {"answer": "big Rome"}]
    truths = [{"answer": ["Lyon", "paris"]}, {"answer": [None]}, {"answer": [None]}, {"answer": ["Rome"]}]
    facts = {"rules": "squad", "no_answer": True}
    assert AnswerF1(type="answer-f1").measure(predictions, truths, facts) == pytest.approx(
        {"answer-f1": (1 + 1 + 0 + 2 / 3) / 4, "answer-f1[answer]": (1 + 2 / 3) / 2, "answer-f1[no answer]": 0.5}
    )
    facts["no_answer"] = False
    exact = AnswerExactMatch(type="answer-exact-match")
    assert exact.measure(predictions, truths, facts) == {"answer-exact-match": 0.5}
    chinese = [{"answer": "北京，大学"}], [{"answer": ["北京大学"]}]
    assert exact.measure(*chinese, facts) == {"answer-exact-match": 0}
    assert AnswerExactMatch(type="answer-exact-match", rules="cmrc").measure(*chinese, facts) == {
        "answer-exact-match": 1
    }
