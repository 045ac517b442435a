"""What question answering does at predict time: plain functions of settings, facts and arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hft_core import RecipeError
from hft_core.runtime.ragged import Ragged
from hft_plugins.question_answering.spans import Found, found_in

NO_ANSWER = -1
"""Start and end, in `offsets`, of the token of a window that stands for "no answer here"."""
DEFAULT_OVERLAP = 128
LOGITS = ("start_logits", "end_logits")


def encode(
    settings: Mapping[str, Any], columns: Mapping[str, list[Any]], preprocessor: Any, facts: Any
) -> dict[str, Any]:
    """Give the model inputs of each context in windows behind its question, each token's `offsets`, and `row`.

    `offsets` are characters of the context, (0, 0) for a token of the question, and (-1, -1) for the one that stands for no
    answer: the classifier's token where a window begins with it, as in BERT, else the last one, which sees all others in a
    decoder too. Raises RecipeError for an `overlap` that a window has no room for.
    """
    overlap = _overlap(settings["overlap"], preprocessor.settings())
    questions, contexts = columns[settings["question"]], columns[settings["context"]]
    arrays: dict[str, Any] = preprocessor.pair_windows(questions, contexts, overlap, settings["question_length"])
    tokens, offsets = arrays["input_ids"], arrays["offsets"]
    first, last = tokens.offsets[:-1], tokens.offsets[1:] - 1
    classifier = preprocessor.settings().get("special", {}).get("cls", -1)
    offsets.values[np.where(tokens.values[first] == classifier, first, last)] = NO_ANSWER
    return arrays


def _overlap(wanted: int | None, preprocessor: Mapping[str, Any]) -> int:
    longest = preprocessor.get("max_length")
    if longest is None:
        return DEFAULT_OVERLAP if wanted is None else wanted
    if wanted is None:
        return int(min(DEFAULT_OVERLAP, longest // 3))
    if wanted > longest // 2:
        raise RecipeError(
            f"task: `overlap: {wanted}` is more than half of a window, which holds {longest} tokens; lower it to "
            f"{longest // 2} or less, or raise the model's `max_length`"
        )
    return wanted


def predict(
    settings: Mapping[str, Any], call: Callable[..., Any], arrays: Mapping[str, Any], facts: Any
) -> dict[str, Any]:
    """Give `start_logits` and `end_logits` of the tokens without those of padding, ragged [tokens]."""
    outputs = call("model", **arrays)
    return {name: Ragged.from_padded(outputs[name], arrays["attention_mask"]) for name in LOGITS}


def decode(
    settings: Mapping[str, Any],
    columns: Mapping[str, list[Any]],
    arrays: Mapping[str, Any],
    outputs: Mapping[str, Any],
    facts: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Give the answer to each row: the stretch of its context, over all windows, with the largest sum of two logits.

    `score` is its probability among all stretches of at most `max_answer_length` tokens and, where the task knows it, no
    answer. Without an answer, `answer`, `start` and `end` are None: where "no answer" beats the best stretch by more than
    the threshold of the facts, or where the context has no token. `n_best` are the best answers, no answer among them.
    `margin` is the distance of the decision to the next one, in logits; None where there is no other.
    """
    contexts = columns[settings["context"]]
    rows = candidates(settings, contexts, arrays, outputs)
    return [
        _prediction(context, found, settings["n_best"], facts) for context, found in zip(contexts, rows, strict=True)
    ]


def candidates(
    settings: Mapping[str, Any], contexts: list[str], arrays: Mapping[str, Any], outputs: Mapping[str, Any]
) -> list[Found]:
    """Give for each context what its windows say of its stretches, and of no answer."""
    offsets, longest = arrays["offsets"], settings["max_answer_length"]
    begins = np.searchsorted(np.asarray(arrays["row"]), np.arange(len(contexts) + 1))
    return [
        found_in(
            context,
            [(offsets[window], *(_float(outputs[name][window]) for name in LOGITS)) for window in range(first, behind)],
            longest,
            settings["n_best"],
        )
        for context, first, behind in zip(contexts, begins[:-1].tolist(), begins[1:].tolist(), strict=True)
    ]


def _float(logits: NDArray[Any]) -> NDArray[np.float64]:
    return logits.astype(np.float64)


def _prediction(context: str, found: Found, count: int, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Choose the answer to a row."""
    knows_none = facts["no_answer"]
    level = np.logaddexp(found.total, found.none) if knows_none else found.total
    listed = [
        _answer(context, (start, end), float(np.exp(logit - level)))
        for (start, end), logit in zip(found.places, found.logits, strict=True)
    ]
    empty = _answer(context, None, float(np.exp(found.none - level)) if knows_none else 0.0)
    best = found.logits[0] if listed else None
    gaps = [best - found.logits[1]] if best is not None and len(listed) > 1 else []
    if best is None:
        chosen, gaps = empty, []
    elif knows_none:
        ahead = found.none - best - facts["threshold"]
        chosen, gaps = (empty, [ahead]) if ahead > 0 else (listed[0], [*gaps, -ahead])
    else:
        chosen = listed[0]
    ranked = sorted([*listed, empty] if knows_none else listed, key=lambda one: -one["score"])
    return chosen | {"n_best": ranked[:count], "margin": min(gaps, default=None)}


def _answer(context: str, place: tuple[int, int] | None, score: float) -> dict[str, Any]:
    if place is None:
        return {"answer": None, "start": None, "end": None, "score": score}
    return {"answer": context[place[0] : place[1]], "start": place[0], "end": place[1], "score": score}
