"""Edits of the cleaner `whitespace`. Standard library only: this runs at predict time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from hft_core.runtime.edits import Edit

_RUN = re.compile(r"\s+")


def edits(settings: dict[str, Any], texts: Sequence[str]) -> list[list[Edit]]:
    """Give the edits of each text; there are no settings."""
    return [_edits(text) if " ".join(text.split()) != text else [] for text in texts]


def _edits(text: str) -> list[Edit]:
    result: list[Edit] = []
    for match in _RUN.finditer(text):
        start, end = match.span()
        replacement = "" if start == 0 or end == len(text) else " "
        if match[0] != replacement:
            result.append(Edit(start, end, replacement))
    return result
