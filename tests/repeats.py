"""How often tests that try random moments or changes try them: a few times, and many where a person asks for it."""

from __future__ import annotations

import os


def times(usual: int, thorough: int) -> int:
    """`thorough` where HFT_THOROUGH is set (`make test-thorough`), else `usual`."""
    return thorough if os.environ.get("HFT_THOROUGH") else usual
