"""Edits of the cleaner `whitespace`. Standard library only: this runs at predict time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from hft_core.runtime.edits import Edit

_RUN = re.compile(r"\s+")
_WHITESPACE = (
    "\t-\r\x1c- \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"  # characters, no escapes of a regex
)


def edits(settings: dict[str, Any], texts: Sequence[str]) -> list[list[Edit]]:
    """Give the edits of each text; there are no settings."""
    return [_edits(text) if " ".join(text.split()) != text else [] for text in texts]


def normalizer(settings: dict[str, Any]) -> list[dict[str, Any]]:
    """Give the same as steps of a tokenizer's normaliser; `\\s` is spelt out, for readers differ in what it means."""
    replacements = ((f"[{_WHITESPACE}]+", " "), (r"\A | \z", ""))
    return [{"type": "Replace", "pattern": {"Regex": regex}, "content": content} for regex, content in replacements]


def _edits(text: str) -> list[Edit]:
    result: list[Edit] = []
    for match in _RUN.finditer(text):
        start, end = match.span()
        replacement = "" if start == 0 or end == len(text) else " "
        if match[0] != replacement:
            result.append(Edit(start, end, replacement))
    return result
