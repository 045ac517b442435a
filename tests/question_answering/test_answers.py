"""From logits to answers: the best stretch of all windows, probabilities, runners-up, no answer and its threshold."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pytest

from hft_core import Ragged
from hft_plugins.question_answering import threshold
from hft_plugins.question_answering.runtime import NO_ANSWER, decode
from hft_plugins.question_answering.spans import Found

SETTINGS = {"context": "context", "question": "question", "max_answer_length": 30, "n_best": 3}
PLAIN = {"no_answer": False, "threshold": 0.0}
NONE = {"no_answer": True, "threshold": 0.0}


def window(*words: tuple[int, int]) -> np.ndarray[Any, Any]:
    """Offsets of one window: the token for no answer, one of a question, then words of the context."""
    return np.array([(NO_ANSWER, NO_ANSWER), (0, 0), *words, (0, 0)], np.int32)


def ragged(parts: list[Any]) -> Ragged:
    return Ragged(np.concatenate(parts), np.cumsum([0, *map(len, parts)]))


def answers(
    contexts: list[str], windows: list[Any], logits: list[tuple[list[float], list[float]]], rows: list[int], facts: Any,
    **settings: Any,
) -> list[dict[str, Any]]:  # fmt: skip
    arrays = {"offsets": ragged(windows), "row": np.array(rows)}
    starts, ends = (ragged([np.array(pair[side], np.float32) for pair in logits]) for side in (0, 1))
    outputs = {"start_logits": starts, "end_logits": ends}
    return decode(SETTINGS | settings, {"context": contexts}, arrays, outputs, facts)


def test_the_best_stretch_and_its_probability_among_all() -> None:
    context = "ab cd ef"
    places = window((0, 2), (3, 5), (6, 8))
    start, end = [0.0, 9.0, 1.0, 2.0, -1.0, 9.0], [0.0, 9.0, 0.5, 1.5, 1.0, 9.0]
    [found] = answers([context], [places], [(start, end)], [0], PLAIN)
    stretches = {
        (first, last): start[first] + end[last] for first, last in itertools.combinations_with_replacement([2, 3, 4], 2)
    }
    total = np.exp(list(stretches.values())).sum()
    ranked = sorted(stretches, key=stretches.__getitem__, reverse=True)
    assert (found["answer"], found["start"], found["end"]) == ("cd", 3, 5)
    assert [one["answer"] for one in found["n_best"]] == [context[places[a, 0] : places[b, 1]] for a, b in ranked[:3]]
    assert [one["score"] for one in found["n_best"]] == pytest.approx(
        [float(np.exp(stretches[one]) / total) for one in ranked[:3]]
    )
    assert found["score"] == found["n_best"][0]["score"]
    assert found["margin"] == pytest.approx(stretches[ranked[0]] - stretches[ranked[1]])
    json.dumps(found, allow_nan=False)


def test_the_longest_answer() -> None:
    places = window((0, 2), (3, 5), (6, 8))
    logits = ([0, 0, 5, 0, 0, 0], [0, 0, 0, 0, 5, 0])
    assert answers(["ab cd ef"], [places], [logits], [0], PLAIN)[0]["answer"] == "ab cd ef"
    assert answers(["ab cd ef"], [places], [logits], [0], PLAIN, max_answer_length=2)[0]["answer"] in (
        "ab",
        "ab cd",
        "cd ef",
        "ef",
    )


def test_a_stretch_in_two_windows_counts_once() -> None:
    context = "ab cd"
    both, second = window((0, 2), (3, 5)), window((3, 5))
    logits = [([0, 0, 1, 2, 0], [0, 0, 1, 2, 0]), ([0, 0, 3, 0], [0, 0, 2.5, 0])]
    [found] = answers([context], [both, second], logits, [0, 0], PLAIN)
    assert [one["answer"] for one in found["n_best"]] == ["cd", "ab cd", "ab"]
    assert sum(one["score"] for one in found["n_best"]) == pytest.approx(1)
    assert found["score"] == pytest.approx(float(np.exp(5.5) / np.exp([5.5, 3, 2]).sum()))


def test_windows_of_one_context_are_together_and_rows_apart() -> None:
    windows = [window((0, 2)), window((3, 5)), window((0, 1))]
    logits = [([0, 0, 1, 0],) * 2, ([0, 0, 3, 0],) * 2, ([0, 0, -9, 0],) * 2]
    found = answers(["ab cd", "x"], windows, logits, [0, 0, 1], PLAIN)
    assert [one["answer"] for one in found] == ["cd", "x"]
    assert found[1]["margin"] is None  # there is no other


@pytest.mark.parametrize(("cut", "answer"), [(0.0, None), (1.9, None), (2.1, "ab"), (-9.0, None)])
def test_no_answer_and_its_threshold(cut: float, answer: str | None) -> None:
    # No answer has 3 + 1 in its best window, 2 + 2 in the other: the smaller counts; the best stretch has 2.
    windows = [window((0, 2)), window((3, 5))]
    logits = [([3, 0, 1, 0], [1, 0, 1, 0]), ([2, 0, 0, 0], [2, 0, 0.5, 0])]
    [found] = answers(["ab cd"], windows, logits, [0, 0], NONE | {"threshold": cut})
    assert (found["answer"], found["start"]) == (answer, None if answer is None else 0)
    assert found["margin"] == pytest.approx(min(abs(2 - cut), 2.0 - 0.5 if answer else np.inf))
    assert [one["answer"] for one in found["n_best"]] == [None, "ab", "cd"]
    assert sum(one["score"] for one in found["n_best"]) == pytest.approx(1)


@pytest.mark.parametrize("facts", [PLAIN, NONE])
def test_a_context_without_a_token(facts: Any) -> None:
    [found] = answers([" "], [window()], [([1, 0, 0],) * 2], [0], facts)
    assert (found["answer"], found["start"], found["end"], found["margin"]) == (None, None, None, None)
    assert found["score"] == (1.0 if facts["no_answer"] else 0.0)
    json.dumps(found, allow_nan=False)


def test_spaces_at_the_borders_are_no_part_of_an_answer() -> None:
    [found] = answers(
        ["a  b "], [window((0, 1), (1, 3), (3, 5))], [([0, 0, 0, 9, 0, 0], [0, 0, 0, 0, 1, 0])], [0], PLAIN
    )
    assert (found["answer"], found["start"], found["end"]) == ("b", 3, 4)  # of the token that is spaces only, nothing


# ---- the threshold ----


def found_of(ahead: float, text: str = "x") -> Found:
    """A row whose best stretch is "x", and no answer so far ahead of it."""
    return Found([(0, len(text))], [0.0, -1.0], 0.0, ahead)


@pytest.mark.parametrize(
    ("ahead", "right", "wanted"),
    [
        ([-2, -1, 1, 2], ["x", "x", None, None], 0.0),  # 0 divides them
        ([-5, -3, -1, 1], ["x", None, None, None], -4.0),
        ([1, 3, 5], ["x", "x", None], 4.0),
        ([1, 1, 5], ["x", None, "y"], 0.0),  # equal ones cannot be told apart; "y" is not found either way
        ([-1, -2], [None, None], -3.0),
        ([1, 2], ["x", "x"], 3.0),
    ],
)
def test_the_best_threshold(ahead: list[float], right: list[str | None], wanted: float) -> None:
    truths = [{"answer": [answer]} for answer in right]
    assert threshold.best(["x"] * len(ahead), list(map(found_of, ahead)), truths, "squad") == wanted


def test_no_threshold_has_a_better_f1() -> None:
    draw = np.random.default_rng(0)
    for _ in range(50):
        rows = int(draw.integers(1, 20))
        ahead = draw.normal(size=rows).round(1)
        truths = [{"answer": [draw.choice(np.array(["x", "x y", "z", None], object))]} for _ in range(rows)]
        contexts = ["x"] * rows

        def f1(cut: float, ahead: Any = ahead, truths: Any = truths) -> float:
            from hft_plugins.question_answering.scoring import score

            given = ["" if one > cut else "x" for one in ahead]
            pairs = zip(given, truths, strict=True)
            return sum(score(one, [a for a in truth["answer"] if a], "squad").f1 for one, truth in pairs)

        cut = threshold.best(contexts, [found_of(float(one)) for one in ahead], truths, "squad")
        assert f1(cut) == pytest.approx(max(f1(one) for one in [*ahead, -9, 9, 0]))


def test_no_row_with_a_stretch_leaves_the_threshold() -> None:
    assert threshold.best([""], [Found([], [], -np.inf, 1.0)], [{"answer": [None]}], "squad") == 0.0
