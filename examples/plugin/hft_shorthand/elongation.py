"""What the cleaner `elongation` does, also at predict time: the standard library and hft_core.runtime only."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from hft_core.runtime.edits import Edit

RUN = re.compile(r"([^\W\d_])\1{2,}")


def edits(settings: dict[str, Any], texts: Sequence[str]) -> list[list[Edit]]:
    """Give the edits of each text; there are no settings."""
    return [[Edit(*match.span(), match[1] * 2) for match in RUN.finditer(text)] for text in texts]
