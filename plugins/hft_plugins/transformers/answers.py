"""Rows of a prompt and an answer as causal language modelling trains on them: whole ones in blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hft_core import Arrays, DataError, PluginError, Ragged

TooLong = Literal["fail", "skip"]


@dataclass(frozen=True)
class Rows:
    """Prompts with their answers."""

    input_ids: Ragged
    answers: NDArray[np.int64]
    """Tokens of each row's answer, the one that ends it included."""
    row: NDArray[np.int64]


def joined(arrays: Arrays, block: int, too_long: TooLong) -> Rows:
    """Put each answer behind its prompt.

    Args:
        arrays: of the task: ragged `input_ids`, `answer`, tuples of tokens that `end` closes where they were not cut, `row`.
        block: tokens of a row at most.

    Raises:
        PluginError: the tokenizer has no token that ends an answer.
        DataError: there are rows that are too long, and they are not to be skipped; or no other.
    """
    prompts, ends = arrays["input_ids"], np.asarray(arrays["end"])
    assert isinstance(prompts, Ragged)
    answers: list[tuple[int, ...]] = np.asarray(arrays["answer"]).tolist()
    if (ends < 0).any():
        raise PluginError(
            "causal-lm: the tokenizer has no token that ends a text, so a model cannot learn to stop; take the tokenizer of "
            "a decoder"
        )
    lengths = np.array([len(answer) for answer in answers], np.int64)
    closed = np.array([answer[-1:] == (end,) for answer, end in zip(answers, ends, strict=True)], bool)
    fits = closed & (prompts.lengths + lengths <= block)
    row = np.asarray(arrays["row"])
    fitting(fits, too_long, "an answer of more tokens than `new_tokens`, or more tokens with their prompt than a block",
            "raise `new_tokens:` of the task and `max_length:` of the model")  # fmt: skip
    kept = np.flatnonzero(fits)
    whole = Ragged.from_rows([[*prompts[place], *answers[place]] for place in kept.tolist()])
    return Rows(whole, lengths[kept], row[kept])


def fitting(fits: NDArray[Any], too_long: TooLong, what: str, todo: str) -> None:
    """Raise DataError where rows do not fit and are not to be skipped, or none does."""
    long = np.flatnonzero(~fits)
    if not len(long) or (too_long == "skip" and len(long) < len(fits)):
        return
    raise DataError(
        f"{len(long)} of {len(fits)} training rows have {what}; the first is number {long[0] + 1}. {todo[0].upper()}{todo[1:]}, "
        "or set `too_long: skip` in the objective to train without them"
    )


def packed(rows: Rows, block: int, prompts: bool, boundaries: bool) -> Arrays:
    """Fill blocks with whole rows in order (next fit), so that no answer is parted from its prompt.

    Gives ragged `input_ids`, `learned` (which tokens count as targets) and, with boundaries, `begins` (where a row begins);
    and `row`, that of the first of each block.
    """
    ids = rows.input_ids
    first = _firsts(ids.lengths, block)
    offsets = np.append(ids.offsets[first], ids.offsets[-1])
    ends, places = ids.offsets[1:], np.arange(len(ids.values))
    own = np.repeat(np.arange(len(ids)), ids.lengths)
    learned = np.full(len(places), prompts) | (places >= (ends - rows.answers)[own])
    arrays: Arrays = {
        "input_ids": Ragged(ids.values, offsets),
        "learned": Ragged(learned, offsets),
        "row": rows.row[first],
    }
    if boundaries:
        begins = np.zeros(len(places), bool)
        begins[ids.offsets[:-1]] = True
        arrays["begins"] = Ragged(begins, offsets)
    return arrays


def _firsts(lengths: NDArray[np.int64], block: int) -> NDArray[np.int64]:
    """The first row of each block."""
    firsts, room = [], -1
    for row, length in enumerate(lengths.tolist()):
        if length > room:
            firsts.append(row)
            room = block
        room -= length
    return np.array(firsts, np.int64)
