"""What text to text does at predict time: the encoder once, the decoder token by token, decoding in numpy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from hft_core import PluginError, RecipeError
from hft_core.runtime.generation import Decoding, Rules, encoded, write
from hft_core.runtime.ragged import Arrays
from hft_core.runtime.randomness import keys_of

_RULES = ("forced_first", "forced_last", "never")
"""Special tokens that the weights were trained to write, or not to, whatever is likely; see `Rules`."""


def encode(
    settings: Mapping[str, Any], columns: Mapping[str, list[Any]], preprocessor: Any, facts: Any
) -> dict[str, Any]:
    """Give the ids of each text; int64 `start`, `end` and the tokens of `Rules`, -1 where there is none; `key`, by which
    draws are made; and `row`.

    Raises RecipeError where more is to be written than the model can take, PluginError for one that is no encoder-decoder.
    """
    texts = columns[settings["text"]]
    about = preprocessor.settings()
    special: dict[str, int] = about["special"]
    if settings["new_tokens"] > about["max_length"]:
        raise RecipeError(
            f"task: new_tokens {settings['new_tokens']} is beyond the {about['max_length']} tokens that the model takes at "
            "most; lower `new_tokens:`, or raise the model's `max_length:`"
        )
    if "decoder_start" not in special:
        raise PluginError(
            "text-to-text: the model's tokenizer names no token that a target begins with (`decoder_start`), as those of "
            "encoder-decoders do; use the model `t5`"
        )
    ids = {"start": special["decoder_start"], "end": special.get("eos", -1)}
    ids |= {name: special.get(name, -1) for name in _RULES}
    return {
        **preprocessor.encode(texts),
        **{name: np.full(len(texts), id, np.int64) for name, id in ids.items()},
        "key": keys_of(texts),
        "row": np.arange(len(texts), dtype=np.int64),
    }


def predict(
    settings: Mapping[str, Any], call: Callable[..., dict[str, Any]], arrays: Mapping[str, Any], facts: Any
) -> dict[str, Any]:
    """Give ragged `written`, the tokens of each text without the one that ends it, and `margin`."""
    state = encoded(call, arrays, arrays["start"])
    rules = Rules(*(None if arrays[name][0] < 0 else int(arrays[name][0]) for name in _RULES))
    decoding = Decoding(**settings["decoding"])
    written = write(state, settings["new_tokens"], arrays["end"], decoding, rules, arrays["key"])
    return {"written": written.tokens, "margin": written.margin}


def postprocess(settings: Any, arrays: Arrays, outputs: Arrays, preprocessor: Any, facts: Any) -> Arrays:
    """Add `text`."""
    return outputs | {"text": np.array(preprocessor.decode(outputs["written"]), dtype=object)}


def decode(settings: Any, columns: Any, arrays: Arrays, outputs: Arrays, facts: Any) -> list[dict[str, Any]]:
    """Give `text` and `margin` of each row."""
    pairs = zip(np.asarray(outputs["text"]).tolist(), np.asarray(outputs["margin"]).tolist(), strict=True)
    return [{"text": text, "margin": margin} for text, margin in pairs]
