"""How much is tested: random moments and changes a few times, the dearest smoke tests not at all, unless a person asks for it."""

from __future__ import annotations

import os

import pytest

thorough_only = pytest.mark.skipif(
    not os.environ.get("HFT_THOROUGH"), reason="takes minutes of processor time: `make test-thorough` does it"
)


def times(usual: int, thorough: int) -> int:
    """`thorough` where HFT_THOROUGH is set (`make test-thorough`), else `usual`."""
    return thorough if os.environ.get("HFT_THOROUGH") else usual
