"""Cleaner of full-width and half-width characters."""

from __future__ import annotations

from typing import ClassVar, Literal

from hft_core import TextCleaner

Width = Literal["half", "full", "keep"]


class WidthCleaner(TextCleaner):
    """Writes characters that exist in full and half width in one of them: `ＡＢＣ１` becomes `ABC1`, `ｶﾞ` becomes `ガ`.

    Nothing else changes, unlike with `unicode` in the form NFKC, which also splits ligatures and turns ① into 1.
    """

    type: Literal["width"]
    letters: Width = "half"
    """Latin letters and digits."""
    punctuation: Width = "keep"
    """ASCII's punctuation and its full-width forms, such as `，！（）：`; `。、“”` have no half-width form."""
    katakana: Literal["full", "keep"] = "full"
    """Half-width katakana, with their voicing marks, and half-width Hangul letters."""

    runtime: ClassVar[str] = "hft_plugins.cleaners.width_runtime"
