"""Cleaner of whitespace."""

from __future__ import annotations

from typing import ClassVar, Literal

from hft_core import TextCleaner


class WhitespaceCleaner(TextCleaner):
    """Turns each run of whitespace (tabs, line ends, ideographic spaces, …) into one space; none at the ends."""

    type: Literal["whitespace"]
    runtime: ClassVar[str] = "hft_plugins.cleaners.whitespace_runtime"
