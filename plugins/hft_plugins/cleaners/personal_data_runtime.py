"""Edits of the cleaner `personal-data`. Standard library only: this runs at predict time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from hft_core.runtime.edits import Edit
from hft_plugins.cleaners.patterns import PERSONAL

_WORTH_A_LOOK = re.compile("@|[0-9][0-9 ().-]{5}")


def edits(settings: dict[str, Any], texts: Sequence[str]) -> list[list[Edit]]:
    """Give the edits of each text; `settings` has `kinds` and `mask`."""
    kinds = {name: settings["mask"].replace("{kind}", name.upper()) for name in PERSONAL if name in settings["kinds"]}
    return [_edits(text, kinds) if _WORTH_A_LOOK.search(text) else [] for text in texts]


def _edits(text: str, masks: dict[str, str]) -> list[Edit]:
    result: list[Edit] = []
    for name, mask in masks.items():
        kind = PERSONAL[name]
        for match in kind.pattern.finditer(text):
            taken = any(edit.start < match.end() and match.start() < edit.end for edit in result)
            if not taken and kind.valid(match[0]):
                result.append(Edit(*match.span(), mask))
    return sorted(result)
