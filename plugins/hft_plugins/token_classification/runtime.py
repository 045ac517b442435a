"""What token classification does at predict time: plain functions of settings, facts and arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from hft_core.runtime.ragged import Ragged
from hft_plugins.token_classification.words import words


def encode(
    settings: Mapping[str, Any], columns: Mapping[str, list[Any]], preprocessor: Any, facts: Any
) -> dict[str, Any]:
    """Give the model inputs of each text in windows, each token's `offsets` in its text, and `row`."""
    arrays: dict[str, Any] = preprocessor.windows(columns[settings["text"]], settings["overlap"], offsets=True)
    return arrays


def predict(
    settings: Mapping[str, Any], call: Callable[..., Any], arrays: Mapping[str, Any], facts: Any
) -> dict[str, Any]:
    """Give `logits` of the tokens without those of padding, ragged [tokens, tags]."""
    return {"logits": Ragged.from_padded(call("model", **arrays)["logits"], arrays["attention_mask"])}


def decode(
    settings: Mapping[str, Any],
    columns: Mapping[str, list[Any]],
    arrays: Mapping[str, Any],
    outputs: Mapping[str, Any],
    facts: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Give the entities of each text: places in characters, text, type, and the mean probability of their words' tags.

    The best tag of each word counts. An inside tag begins an entity where none of its type goes before. `margin` is the
    smallest distance of the two best tags' probabilities among a text's words, 1 for a text without words.
    """
    texts = columns[settings["text"]]
    found = words(texts, arrays["offsets"], arrays["row"], facts.get("compounds", ()))
    logits = np.asarray(outputs["logits"].values[found.token], np.float64)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = odds / odds.sum(axis=1, keepdims=True)
    probability = probabilities.max(axis=1)
    margins = np.ones(len(texts))
    np.minimum.at(margins, found.row, probability - np.partition(probabilities, -2, axis=1)[:, -2])
    tag = logits.argmax(axis=1)  # 0 is O, then begin and inside of each type
    kind = (tag - 1) // 2
    goes_on = np.append(False, (kind[1:] == kind[:-1]) & (found.row[1:] == found.row[:-1]))[: len(tag)]
    begins = (kind >= 0) & ((tag % 2 == 1) | ~goes_on)

    members = np.flatnonzero(kind >= 0)
    entity = np.cumsum(begins)[members] - 1
    sizes = np.bincount(entity)
    scores = np.bincount(entity, probability[members]) / sizes
    firsts = np.flatnonzero(begins)
    lasts = members[np.cumsum(sizes) - 1]
    rows = found.row[firsts]

    predictions: list[dict[str, Any]] = [{"entities": [], "margin": margin} for margin in margins.tolist()]
    for row, start, end, which, score in zip(
        rows.tolist(),
        (found.start[firsts] - found.base[rows]).tolist(),
        (found.end[lasts] - found.base[rows]).tolist(),
        kind[firsts].tolist(),
        scores.tolist(),
        strict=True,
    ):
        text, name = texts[row][start:end], facts["types"][which]
        predictions[row]["entities"].append({"start": start, "end": end, "text": text, "type": name, "score": score})
    return predictions
