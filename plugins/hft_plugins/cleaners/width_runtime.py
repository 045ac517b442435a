"""Edits of the cleaner `width`. Standard library only: this runs at predict time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any
from unicodedata import normalize

from hft_core.runtime.edits import Edit

_SHIFT = 0xFEE0  # from ASCII to its full-width form
_KATAKANA = "\uff66-\uff9d][\uff9e\uff9f]?|[\uff61-\uffdc"  # with a voicing mark, which joins what is before it


def edits(settings: dict[str, Any], texts: Sequence[str]) -> list[list[Edit]]:
    """Give the edits of each text; `settings` has `letters`, `punctuation` and `katakana`."""
    pattern = _pattern(settings["letters"], settings["punctuation"], settings["katakana"])
    return [[Edit(*match.span(), _other(match[0])) for match in pattern.finditer(text)] for text in texts]


@cache
def _pattern(letters: str, punctuation: str, katakana: str) -> re.Pattern[str]:
    """Find the runs that have to change."""
    wanted = ""
    for width, members in ((letters, str.isalnum), (punctuation, lambda character: not character.isalnum())):
        characters = [chr(code) for code in range(0x21, 0x7F) if members(chr(code))]
        if width == "half":
            wanted += "".join(chr(ord(character) + _SHIFT) for character in characters)
        elif width == "full":
            wanted += "".join(map(re.escape, characters))
    parts = [f"[{wanted}]+"] if wanted else []
    if katakana == "full":
        parts.append(f"(?:[{_KATAKANA}])+")
    return re.compile("|".join(parts) or "(?!)")


def _other(run: str) -> str:
    """Write a run in its other width."""
    if run[0] >= "\uff61":  # a voicing mark joins the katakana before it
        return normalize("NFKC", run)
    return "".join(chr(ord(character) + (_SHIFT if character <= "~" else -_SHIFT)) for character in run)
