"""Edits of the cleaner `mojibake`, by ftfy. This runs at predict time."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from hft_core.runtime.edits import Edit
from hft_plugins.cleaners.difference import smallest

REQUIRES = ("ftfy",)
"""Distributions that a bundle with this cleaner needs."""
# What a lead byte of UTF-8 becomes in one-byte encodings, and something that is not ASCII behind it.
_MARKER = re.compile(
    "[\x80-\u04ff\u2000-\u25ff\uf000-\uf8ff\ufb00-\ufb06][\x80-\u04ff\u2000-\u25ff\uf000-\uf8ff\ufb00-\ufb06 ]"
)


def edits(settings: dict[str, Any], texts: Sequence[str]) -> list[list[Edit]]:
    """Give the edits of each text; there are no settings."""
    return [_edits(text) if not text.isascii() and _MARKER.search(text) else [] for text in texts]


def _edits(text: str) -> list[Edit]:
    after = _repair()(text)
    return smallest(0, text, after) if after != text else []


@cache
def _repair() -> Callable[[str], str]:
    """Give ftfy's repair, which is taken only where it leaves less that looks like mojibake."""
    from hft_core import PluginError

    try:
        from ftfy import fix_encoding
        from ftfy.badness import badness
    except ImportError as error:
        raise PluginError("the cleaner mojibake needs ftfy; run: pip install 'hft-core[clean]'") from error

    def repaired(text: str) -> str:
        after = fix_encoding(text)
        return after if after != text and badness(after) < badness(text) else text

    return repaired
