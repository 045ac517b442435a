"""What `prompt-classification` does at predict time: prompts of texts, and labels of what is put into their gaps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hft_core.runtime.ragged import Ragged
from hft_fewshot.runtime import decode as decode

GAP, WORDS = "gap", "words"
"""Arrays beside the model's inputs: the place of the first mask token, and the tokens of all verbalizers."""


class UnfitError(ValueError):
    """A pattern or verbalizer that the model's vocabulary or length does not allow."""


def encode(
    settings: Mapping[str, Any], columns: Mapping[str, list[Any]], preprocessor: Any, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """Give `input_ids`, `row`, `gap` int64 [rows] and `words` int64 [rows, labels, words, mask tokens], the same in each row.

    The mask tokens of a gap stand side by side, and `gap` counts the tokens before them, without padding. Raises UnfitError
    for verbalizers of different lengths, and for a pattern that leaves no room for a text.
    """
    words = _words(settings, facts["labels"], preprocessor)
    masks = [preprocessor.settings()["special"]["mask"]] * words.shape[2]
    before, after = settings["pattern"].split("{text}")
    opening, closing = _frame(preprocessor)
    head = opening + _filled(before, preprocessor, masks)
    tail = _filled(after, preprocessor, masks) + closing
    room = preprocessor.settings()["max_length"] - len(head) - len(tail)
    if room < 1:
        raise UnfitError(
            f"the pattern {settings['pattern']!r} takes {len(head) + len(tail)} tokens, which leaves none of the model's "
            f"{preprocessor.settings()['max_length']} for a text; shorten it, or raise `max_length`"
        )
    spaced = " " if before.endswith(" ") else ""
    texts = preprocessor.bare([spaced + text for text in columns[settings["text"]]])
    prompts = [head + text[:room] + tail for text in texts]
    in_head = "{gap}" in before
    own = (head if in_head else tail).index(masks[0])
    gap = [own if in_head else len(prompt) - len(tail) + own for prompt in prompts]
    return {
        "input_ids": Ragged.from_rows(prompts),
        "row": np.arange(len(prompts), dtype=np.int64),
        GAP: np.array(gap, np.int64),
        WORDS: np.broadcast_to(words, (len(prompts), *words.shape)).copy(),
    }


def predict(
    settings: Mapping[str, Any], call: Callable[..., dict[str, Any]], arrays: Mapping[str, Any], facts: Any
) -> dict[str, Any]:
    """Give `logits` float [rows, labels] out of those over the vocabulary at the gap."""
    inputs = {name: array for name, array in arrays.items() if name not in (GAP, WORDS)}
    logits = np.asarray(call("model", **inputs)["logits"])
    found = np.take_along_axis(logits, gaps(arrays)[:, :, None], axis=1)
    return {"logits": label_logits(found, arrays[WORDS])}


def gaps(batch: Mapping[str, NDArray[Any]]) -> NDArray[np.int64]:
    """Give the places of the mask tokens in a padded batch, int64 [rows, mask tokens]."""
    padding = batch["attention_mask"].argmax(axis=1)  # tokens of padding on the left
    masks = np.arange(batch[WORDS].shape[3])
    return np.asarray((padding + batch[GAP])[:, None] + masks, np.int64)


def label_logits(found: NDArray[Any], words: NDArray[np.int64]) -> NDArray[Any]:
    """Give float [rows, labels] of logits [rows, masks, vocabulary] and the words' tokens [rows, labels, words, masks]."""
    rows, labels, most, masks = words.shape
    flat = np.maximum(words, 0).transpose(0, 3, 1, 2).reshape(rows, masks, labels * most)
    of_words = np.take_along_axis(found, flat, axis=2).sum(axis=1).reshape(rows, labels, most)
    there = words[..., 0] >= 0
    result: NDArray[Any] = (of_words * there).sum(axis=-1) / there.sum(axis=-1)
    return result


def _words(settings: Mapping[str, Any], labels: list[str], preprocessor: Any) -> NDArray[np.int64]:
    """The tokens of each label's words, int64 [labels, words, mask tokens]; -1 where a label has fewer words."""
    lead = settings["pattern"].replace("{text}", "").split("{gap}")[0]
    special = preprocessor.settings()["special"]
    found: dict[tuple[str, str], list[int]] = {}
    for label in labels:
        for word in settings["verbalizers"][label]:
            found[label, word] = _word(word, lead, preprocessor)
            if "unk" in special and special["unk"] in found[label, word]:
                raise UnfitError(
                    f"the model's vocabulary lacks the verbalizer {word!r} of the label {label!r}; take another word"
                )
    lengths = {len(tokens) for tokens in found.values()}
    if len(lengths) > 1:
        listed = ", ".join(f"{word!r} {len(tokens)}" for (_, word), tokens in found.items())
        raise UnfitError(
            f"verbalizers need the same number of tokens in the model's vocabulary, and have: {listed}. Take other words, such "
            "as ones of a single token"
        )
    most = max(len(settings["verbalizers"][label]) for label in labels)
    words = np.full((len(labels), most, lengths.pop()), -1, np.int64)
    for index, label in enumerate(labels):
        for place, word in enumerate(settings["verbalizers"][label]):
            words[index, place] = found[label, word]
    return words


def _word(word: str, lead: str, preprocessor: Any) -> list[int]:
    """The tokens of a word where it stands in the pattern: many tokenizers tell a word behind a space from others."""
    before = lead.rstrip()
    space = " " if lead != before else ""
    alone, whole = preprocessor.bare([before, before + space + word])
    tokens: list[int] = whole[len(alone) :] if whole[: len(alone)] == alone else preprocessor.bare([space + word])[0]
    return tokens


def _filled(part: str, preprocessor: Any, masks: list[int]) -> list[int]:
    """The tokens of a part of the pattern, with the mask tokens where its gap is, if it has one."""
    pieces = part.split("{gap}")
    tokens = preprocessor.bare([piece.rstrip() for piece in pieces])
    return list(tokens[0]) if len(pieces) == 1 else [*tokens[0], *masks, *tokens[1]]


def _frame(preprocessor: Any) -> tuple[list[int], list[int]]:
    """The special tokens that stand before and after those of a text."""
    whole, own = preprocessor.encode(["a"])["input_ids"][0].tolist(), preprocessor.bare(["a"])[0]
    start = next(at for at in range(len(whole)) if whole[at : at + len(own)] == own)
    return whole[:start], whole[start + len(own) :]
