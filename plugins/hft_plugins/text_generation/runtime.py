"""What text generation does at predict time: decoding in numpy on a graph with a cache."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hft_core import RecipeError
from hft_core.runtime.generation import Decoding, left_padded, prefill, write
from hft_core.runtime.ragged import Arrays, Ragged
from hft_core.runtime.randomness import keys_of

PLACE = "{text}"
"""What of a `prompt` the text takes the place of."""


def encode(
    settings: Mapping[str, Any], columns: Mapping[str, list[Any]], preprocessor: Any, facts: Any
) -> dict[str, Any]:
    """Give the ids of each prompt, and what `prompted` says."""
    texts = columns[settings["text"]]
    prompts = [settings.get("prompt", PLACE).replace(PLACE, text) for text in texts]
    ids = preprocessor.encode_end(prompts, room(settings, preprocessor))["input_ids"]
    return prompted(settings, columns, preprocessor, ids, preprocessor.settings()["special"].get("eos", -1))


def room(settings: Mapping[str, Any], preprocessor: Any) -> int:
    """Tokens of a prompt at most. Raises RecipeError where there is none."""
    longest = preprocessor.settings()["max_length"]
    left: int = longest - settings["new_tokens"]
    if left < 1:
        raise RecipeError(
            f"task: new_tokens {settings['new_tokens']} leaves no room for a text in the {longest} tokens of "
            "the model's longest input; lower `new_tokens:`, or raise the model's `max_length:`"
        )
    return left


def prompted(
    settings: Mapping[str, Any], columns: Mapping[str, list[Any]], preprocessor: Any, ids: Ragged, end: int
) -> dict[str, Any]:
    """Give `input_ids`, ragged; `end` int64, the token that ends a text or -1; `key`, by which draws are made; and `row`.

    Where the answers are there, as in training and evaluation, also `answer`, objects: of each row the tuple of its tokens,
    closed by the end token, at most as many as may be written.
    """
    rows = len(ids)
    given = [name for name in ("messages", "text") if settings.get(name) in columns]
    arrays = {
        "input_ids": ids,
        "end": np.full(rows, end, np.int64),
        "key": keys_of(columns[settings[given[0]]]),
        "row": np.arange(rows, dtype=np.int64),
    }
    if settings.get("answer") not in columns:
        return arrays
    answers = np.empty(rows, object)
    close = [end] if end >= 0 else []
    for row, tokens in enumerate(preprocessor.bare(columns[settings["answer"]])):
        answers[row] = (*tokens, *close)[: settings["new_tokens"]]
    return arrays | {"answer": answers}


def predict(
    settings: Mapping[str, Any], call: Callable[..., dict[str, Any]], arrays: Mapping[str, Any], facts: Any
) -> dict[str, Any]:
    """Give ragged `written`, the tokens that come after each prompt, with `margin`; and how likely what is known was:
    `nll` float64, in nats, of so many `tokens` int64.

    That is the answer where it is there; else the text, its first token aside, and the token that ends it.
    """
    ids, mask = left_padded(arrays["input_ids"], arrays["attention_mask"])
    known = arrays.get("answer")
    outputs: dict[str, Any] = {} if known is None else _of_answers(call, ids, mask, known)
    if known is None or settings.get("write", True):
        nll = np.zeros(len(ids))
        for read, state in prefill(call, ids, mask):
            if known is None:
                nll += _surprise(state.outputs["logits"], ids, mask, mask, read)
    if known is None:
        ends = arrays["end"]
        scores = state.scores()[:, None]
        nll += np.array([_row(scores[row], ends[[row]]) if ends[row] >= 0 else 0.0 for row in range(len(ids))])
        outputs = {"nll": nll, "tokens": mask.sum(axis=1) - (ends < 0)}
    if settings.get("write", True):
        decoding = Decoding(**settings.get("decoding", {}))
        written = write(state, settings["new_tokens"], arrays["end"], decoding, keys=arrays["key"])
        outputs |= {"written": written.tokens, "margin": written.margin}
    return outputs


def postprocess(settings: Any, arrays: Arrays, outputs: Arrays, preprocessor: Any, facts: Any) -> Arrays:
    """Add `text`: what a text and its continuation say together beyond what the text says alone.

    A continuation on its own would lose the space that it begins with, in tokenizers whose texts begin with one.
    """
    if not settings.get("write", True):
        return outputs
    given, written = arrays["input_ids"], outputs["written"]
    whole = preprocessor.decode(Ragged.from_rows([[*given[row], *written[row]] for row in range(len(given))]))
    parts = zip(preprocessor.decode(given), whole, preprocessor.decode(written), strict=True)
    texts = [both.removeprefix(start) if both.startswith(start) else alone for start, both, alone in parts]
    return outputs | {"text": np.array(texts, dtype=object)}


def decode(settings: Any, columns: Any, arrays: Arrays, outputs: Arrays, facts: Any) -> list[dict[str, Any]]:
    """Give `text` and `margin`, where something was written, and where something is known `nll` and `tokens` of each row."""
    written = ("text", "margin") if settings.get("write", True) else ()
    known = ("nll", "tokens") if settings.get("answer") is None or "answer" in arrays else ()
    names = (*written, *known)
    values = zip(*(np.asarray(outputs[name]).tolist() for name in names), strict=True)
    return [dict(zip(names, row, strict=True)) for row in values]


def _of_answers(
    call: Callable[..., dict[str, Any]], ids: NDArray[np.int64], mask: NDArray[np.int64], answers: Sequence[Any]
) -> dict[str, Any]:
    """Read prompts and answers together; `nll` of the answers' tokens, and how many these are."""
    there = mask.astype(bool)
    tokens = np.array([len(answer) for answer in answers], np.int64)
    whole = Ragged.from_rows([[*ids[row][there[row]], *answer] for row, answer in enumerate(answers)])
    read, seen = left_padded(whole.padded(0, dtype=np.int64), whole.mask().astype(np.int64))
    learned = np.arange(read.shape[1])[::-1] < tokens[:, None]
    nll = np.zeros(len(ids))
    for piece, state in prefill(call, read, seen):
        nll += _surprise(state.outputs["logits"], read, seen, learned, piece)
    return {"nll": nll, "tokens": tokens}


def _surprise(
    logits: NDArray[Any], ids: NDArray[np.int64], mask: NDArray[np.int64], counted: NDArray[Any], read: slice
) -> NDArray[np.float64]:
    """Negative log-likelihood of those tokens behind the columns `read` that are `counted`, summed by row, in nats."""
    targets, there = ids[:, read.start + 1 : read.stop + 1], mask.astype(bool)
    followed = there[:, read][:, : targets.shape[1]] & counted.astype(bool)[:, read.start + 1 : read.stop + 1]
    result = np.zeros(len(ids))
    for row, kept in enumerate(followed):  # row by row: in float64, logits take twice the memory
        result[row] = _row(logits[row, : len(kept)][kept], targets[row][kept])
    return result


def _row(logits: NDArray[Any], targets: NDArray[np.int64]) -> float:
    """Negative log-likelihood of targets int64 [n] by logits [n, vocabulary], summed, in nats."""
    chosen = logits.astype(np.float64)
    highest = chosen.max(axis=-1, initial=-np.inf, keepdims=True)
    total = np.log(np.exp(chosen - highest).sum(axis=-1)) + highest[:, 0]
    return float((total - chosen[np.arange(len(chosen)), targets]).sum())
