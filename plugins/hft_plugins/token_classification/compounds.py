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

from hft_plugins.token_classification.characters import OWN_TAGS, is_of_word

_OWN = f"[{OWN_TAGS}]"
_NAME = rf"(?:(?!{_OWN})\w)+"
_HOST = r"(?:[A-Za-z0-9-]+\.)+[A-Za-z]+"
_COMPOUNDS = {
    # Chinese marks end an address, and so does a bracket that something separates from what follows.
    "address": re.compile(
        rf"(?:https?://|www\.)(?:(?!\)[,;])[^\s<>\"'\u3000-\u303f\uff00-\uff65{OWN_TAGS}])+"
        rf"|(?:(?<![\w.+-])|(?<={_OWN}))(?:(?!{_OWN})[\w.+-])++@{_HOST}",
        re.IGNORECASE,
    ),
    "mention": re.compile(rf"(?:(?<![\w@.])|(?<={_OWN}))@{_NAME}"),
    "hashtag": re.compile(rf"(?:(?<![\w#&])|(?<={_OWN}))#{_NAME}"),
}
_OF_SENTENCE = ".,;:!?)]}"
"""What belongs to the sentence where an address ends with it."""
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
    """The compounds of a text, each with its kind, its begin and its end."""
    if not kinds or not _SIGNS.search(text):
        return
    for kind in kinds:
        for match in _COMPOUNDS[kind].finditer(text):
            start, end = match.span()
            if kind == "address":
                yield kind, start, start + len(match[0].rstrip(_OF_SENTENCE))
                continue
            while end < len(text) and (text[end] == "_" or is_of_word(text[end])):  # signs of vowels, which \\w lacks
                end += 1
            yield kind, start, end
