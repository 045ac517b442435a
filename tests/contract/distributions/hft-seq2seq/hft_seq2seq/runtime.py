"""What rewriting does at predict time: greedy decoding in numpy, one call of the decoder per token."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from hft_core.errors import NonFiniteError
from hft_core.runtime.ragged import Ragged


def encode(
    settings: Mapping[str, Any], columns: Mapping[str, list[Any]], preprocessor: Any, facts: Any
) -> dict[str, Any]:
    """Give the ids of each source, `start` and `end` int64 (the tokens that a target begins and ends with), and `row`."""
    texts = columns[settings["source"]]
    special = preprocessor.settings()["special"]
    return {
        **preprocessor.encode(texts),
        "start": np.full(len(texts), special["pad"], np.int64),  # T5 begins with its padding token
        "end": np.full(len(texts), special["eos"], np.int64),
        "row": np.arange(len(texts), dtype=np.int64),
    }


def predict(settings: Mapping[str, Any], call: Callable[..., Any], arrays: Mapping[str, Any], facts: Any) -> Any:
    """Write each row's most likely next token until it ends; gives ragged `tokens` without start and end."""
    read = call(
        "encoder", **arrays
    )  # states or, from a model with one, a cache: the decoder takes what the encoder gives
    mask, end = arrays["attention_mask"], arrays["end"]
    written = np.asarray(arrays["start"])[:, None]
    kept = np.zeros((len(written), 0), bool)
    writing = np.ones(len(written), bool)
    for _ in range(settings["max_tokens"]):
        logits = call("decoder", decoder_input_ids=written, attention_mask=mask, **read)["logits"][:, -1]
        if not np.isfinite(logits).all():
            raise NonFiniteError("the decoder's logits are not finite; the model's weights are unusable")
        following = logits.argmax(axis=-1)
        writing = writing & (following != end)
        written = np.concatenate([written, following[:, None]], axis=1)
        kept = np.concatenate([kept, writing[:, None]], axis=1)
        if not writing.any():
            break
    return {"tokens": Ragged.from_padded(written[:, 1:], kept)}


def postprocess(
    settings: Any, arrays: Any, outputs: Mapping[str, Any], preprocessor: Any, facts: Any
) -> dict[str, Any]:
    """Turn the tokens into `text`."""
    return {"text": np.array(preprocessor.decode(outputs["tokens"]), object)}


def decode(settings: Any, columns: Any, arrays: Any, outputs: Mapping[str, Any], facts: Any) -> list[dict[str, Any]]:
    """Give ``{"text": …}`` per row."""
    return [{"text": text} for text in outputs["text"]]
