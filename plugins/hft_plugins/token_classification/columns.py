"""Rows of tokens and tags, as data sets of the hub have them, as a text with entities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hft_plugins.readers.tagged import EXPECTED, Token, is_unspaced, joined, tag_of

TOKENS = ("tokens", "words")
TAGS = ("ner_tags", "tags", "labels")


def arranged(
    tokens: Any, tags: Any, names: Sequence[str] | None, joiner: str | None
) -> tuple[str | None, list[dict[str, Any]] | str]:
    """Give text and entities of one row; None and the reason where its lists cannot be read.

    Args:
        tokens: a list of strings.
        tags: a list of as many tags, or numbers of `names`.
        names: what the numbers stand for, counted from 0.
        joiner: see `tagged.joined`; the script is that of the row.
    """
    if not isinstance(tokens, list) or not isinstance(tags, list):
        return None, "not-lists-of-tokens-and-tags"
    if len(tokens) != len(tags):
        return None, f"tags-do-not-match: {len(tokens)} tokens and {len(tags)} tags"
    sentence = []
    for token, tag in zip(tokens, tags, strict=True):
        if not isinstance(token, str) or not token.strip():
            return None, f"missing-token: {str(token)[:60]!r}"
        known = _named(tag, names)
        read = tag_of(known) if known is not None else None
        if read is None:
            expected = f"expected a number below {len(names)}" if names and known is None else EXPECTED
            return None, f"unknown-tag: {str(tag)[:60]!r}, {expected}"
        sentence.append(Token(token.strip(), *read))
    return joined(sentence, joiner, is_unspaced([sentence])) if sentence else (None, "empty-text")


def _named(tag: Any, names: Sequence[str] | None) -> str | None:
    if isinstance(tag, str):
        return tag
    if names and isinstance(tag, int) and not isinstance(tag, bool) and 0 <= tag < len(names):
        return names[tag]
    return None
