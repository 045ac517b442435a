"""Sentences of tagged tokens, as a text with entities in characters."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from hft_plugins.augmenters import words

EXPECTED = "expected O, or one of B I E S M L U W, a hyphen and a type, such as B-location"
_TAG = re.compile(r"([BIMELSUW])-(.+)")
_BEGINS, _ENDS = frozenset("BSUW"), frozenset("ELSUW")
"""Prefixes whose token is always the first, or always the last, of its entity."""


class Token(NamedTuple):
    """A token with its tag."""

    text: str
    prefix: str
    """How it stands to its entity; empty outside of any."""
    type: str


def tag_of(tag: str) -> tuple[str, str] | None:
    """Give prefix and type of a tag of IOB1, BIO, BIOES, BMES or BILOU, both empty for ``O``; None for what is no tag."""
    match = _TAG.fullmatch(tag)
    return (match[1], match[2]) if match else ("", "") if tag == "O" else None


def joined(tokens: Sequence[Token], joiner: str | None, unspaced: bool) -> tuple[str, list[dict[str, Any]]]:
    """Give the text of a sentence, and its entities ``{"start", "end", "type"}`` in characters of it.

    No scheme is asked for: their prefixes agree, and an entity also begins where the type changes.

    Args:
        tokens: at least one.
        joiner: what stands between two tokens; None: a space, but nothing where `unspaced`, except between two ASCII tokens
            of which one has several characters.
        unspaced: whether the script sets no spaces between words.
    """
    pieces = [tokens[0].text]
    for left, right in pairwise(tokens):
        pieces += (_between(left.text, right.text, unspaced) if joiner is None else joiner, right.text)
    entities: list[dict[str, Any]] = []
    end, goes_on = 0, False
    for number, token in enumerate(tokens):
        start = end + len(pieces[2 * number - 1]) if number else 0
        end = start + len(token.text)
        if goes_on and token.prefix not in _BEGINS and token.type == entities[-1]["type"]:
            entities[-1]["end"] = end
        elif token.prefix:
            entities.append({"start": start, "end": end, "type": token.type})
        goes_on = bool(token.prefix) and token.prefix not in _ENDS
    return "".join(pieces), entities


def is_unspaced(sentences: Sequence[Sequence[Token]]) -> bool:
    """Whether most tokens with letters are of a script that sets no spaces between words."""
    letters = [token.text for sentence in sentences for token in sentence if any(map(str.isalpha, token.text))]
    return sum(any(map(words.is_unspaced, word)) for word in letters) * 2 > len(letters)


def _between(left: str, right: str, unspaced: bool) -> str:
    ascii_words = left.isascii() and right.isascii() and len(left) + len(right) > 2
    return "" if unspaced and not ascii_words else " "
