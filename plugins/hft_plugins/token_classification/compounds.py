"""Stretches of a text that are one word for tagging, though they have signs within: addresses, mentions, hashtags.

What follows the sign looks like any name, and is tagged as a whole with it: were each part tagged by itself, a model would
learn from thousands of `@name` that names are no entities. Numpy and the standard library only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Han, kana, Thai, Lao, Burmese, Khmer; Hangul too: Korean has spaces, but a name and its particle stand together.
OWN_TAGS = (
    "\u0e00-\u0eff\u1000-\u11ff\u1780-\u17ff\u3005-\u3007\u3040-\u318f\u31f0-\u31ff\u3400-\u9fff\ua960-\ua97f"
    "\uac00-\ud7ff\uf900-\ufaff\uff66-\uffdc\U0001b000-\U0001b16f\U00020000-\U0003ffff"
)
"""Characters of scripts that set no spaces between words; each is a word of its own."""
_NAME = rf"(?:(?![{OWN_TAGS}])\w)+"
_COMPOUNDS = {
    "address": re.compile(
        rf"(?:https?://|www\.)[^\s<>\"'{OWN_TAGS}]+|[\w.+-]+@(?:[A-Za-z0-9-]+\.)+[A-Za-z]+", re.IGNORECASE
    ),
    "mention": re.compile(rf"(?<![\w@.])@{_NAME}"),
    "hashtag": re.compile(rf"(?<![\w#&])#{_NAME}"),
}
_SIGNS = re.compile("[@#]|://|www\\.", re.IGNORECASE)


def undivided(rows: Iterable[tuple[str, Sequence[Mapping[str, Any]]]], kinds: Sequence[str] | None = None) -> list[str]:
    """Give the `kinds` of compounds, by default all, within which no entity of texts with their entities begins or ends."""
    found = dict.fromkeys(_COMPOUNDS if kinds is None else kinds)
    for text, entities in rows:
        borders = {place for one in entities for place in (one["start"], one["end"])}
        if borders:
            for kind, start, end in _compounds(text, list(found)):
                if any(start < border < end for border in borders):
                    found.pop(kind, None)
    return list(found)


def continued(text: str, kinds: Sequence[str]) -> NDArray[np.bool_]:
    """Tell for each character of a text whether it goes on with a compound of these kinds that began before it."""
    goes_on = np.zeros(len(text), np.bool_)
    for _, start, end in _compounds(text, kinds):
        goes_on[start + 1 : end] = True
    return goes_on


def _compounds(text: str, kinds: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    if kinds and _SIGNS.search(text):
        for kind in kinds:
            for match in _COMPOUNDS[kind].finditer(text):
                yield kind, *match.span()
