"""Cleaner of damaged and invisible characters."""

from __future__ import annotations

from typing import ClassVar, Literal

from hft_core import TextCleaner


class UnicodeCleaner(TextCleaner):
    """Repairs mojibake (UTF-8 that was read as cp1252 or Latin-1), removes invisible characters, normalises.

    Control and zero-width characters go (joiners stay where emoji or joining scripts need them), special
    spaces become plain ones. Mojibake is repaired only where its bytes are UTF-8 and no plain reading of
    the text is likely.
    """

    type: Literal["unicode"]
    runtime: ClassVar[str] = "hft_plugins.cleaners.unicode_runtime"
    form: Literal["NFC", "NFKC"] = "NFC"
    """Normal form. NFKC also turns full-width letters, digits and punctuation, ligatures and ① into plain ones."""
