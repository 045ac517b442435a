"""What text generation does at predict time: greedy decoding in numpy on a graph with a cache."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hft_core import RecipeError
from hft_core.runtime.generation import greedy, left_padded, prefill
from hft_core.runtime.ragged import Arrays, Ragged


def encode(
    settings: Mapping[str, Any], columns: Mapping[str, list[Any]], preprocessor: Any, facts: Any
) -> dict[str, Any]:
    """Give the ids of each text, of a long one the last; `end` int64, the token that ends a text or -1; and `row`."""
    texts = columns[settings["text"]]
    about = preprocessor.settings()
    room = about["max_length"] - settings["new_tokens"]
    if room < 1:
        raise RecipeError(
            f"task: new_tokens {settings['new_tokens']} leaves no room for a text in the {about['max_length']} tokens of "
            "the model's longest input; lower `new_tokens:`, or raise the model's `max_length:`"
        )
    return {
        **preprocessor.encode_end(texts, room),
        "end": np.full(len(texts), about["special"].get("eos", -1), np.int64),
        "row": np.arange(len(texts), dtype=np.int64),
    }


def predict(
    settings: Mapping[str, Any], call: Callable[..., dict[str, Any]], arrays: Mapping[str, Any], facts: Any
) -> dict[str, Any]:
    """Read the texts once for both: `nll` float64 of each, and ragged `written`, the tokens that come after, with `margin`."""
    ids, mask = left_padded(arrays["input_ids"], arrays["attention_mask"])
    nll = np.zeros(len(ids))
    outputs: dict[str, Any] = {}
    for read, outputs in prefill(call, ids, mask):
        nll += _surprise(outputs["logits"], ids, mask, read)
    if not settings.get("write", True):
        return {"nll": nll}
    written = greedy(call, outputs, mask, settings["new_tokens"], arrays["end"])
    return {"nll": nll, "written": written.tokens, "margin": written.margin}


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
    """Give `text` and `margin`, where something was written, `nll` and `tokens` of each row."""
    given = arrays["input_ids"]
    assert isinstance(given, Ragged)  # encode() makes it so
    names = ("text", "margin", "nll") if settings.get("write", True) else ("nll",)
    values = zip(*(np.asarray(outputs[name]).tolist() for name in names), (given.lengths - 1).tolist(), strict=True)
    return [dict(zip((*names, "tokens"), row, strict=True)) for row in values]


def _surprise(
    logits: NDArray[Any], ids: NDArray[np.int64], mask: NDArray[np.int64], read: slice
) -> NDArray[np.float64]:
    """Negative log-likelihood of the tokens that follow those of the columns `read`, summed by row, in nats."""
    targets, there = ids[:, read.start + 1 : read.stop + 1], mask.astype(bool)
    followed = there[:, read][:, : targets.shape[1]] & there[:, read.start + 1 : read.stop + 1]
    result = np.zeros(len(ids))
    for row, kept in enumerate(followed):  # row by row: in float64, logits take twice the memory
        chosen = logits[row, : len(kept)][kept].astype(np.float64)
        highest = chosen.max(axis=-1, initial=-np.inf, keepdims=True)
        total = np.log(np.exp(chosen - highest).sum(axis=-1)) + highest[:, 0]
        result[row] = (total - chosen[np.arange(len(chosen)), targets[row][kept]]).sum()
    return result
