"""Edits of the cleaner `links`. Standard library only: this runs at predict time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hft_core.runtime.edits import Edit
from hft_plugins.cleaners.patterns import EMAIL, URL, url_end


def edits(settings: dict[str, Any], texts: Sequence[str]) -> list[list[Edit]]:
    """Give the edits of each text; `settings` has `urls` and `emails`."""
    return [_edits(text, settings["urls"], settings["emails"]) for text in texts]


def _edits(text: str, urls: str | None, emails: str | None) -> list[Edit]:
    result: list[Edit] = []
    if "://" in text or "www." in text.lower():
        spans = [(match.start(), url_end(text, *match.span())) for match in URL.finditer(text)]
        if urls is not None:
            result = [Edit(start, end, urls) for start, end in spans]
    else:
        spans = []
    if emails is not None and "@" in text:
        for match in EMAIL.finditer(text):
            if not any(start < match.end() and match.start() < end for start, end in spans):  # no part of a URL
                result.append(Edit(*match.span(), emails))
    return sorted(result)
