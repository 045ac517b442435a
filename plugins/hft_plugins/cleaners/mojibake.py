"""Cleaner of text that was read in a wrong encoding."""

from __future__ import annotations

from typing import ClassVar, Literal

from hft_core import TextCleaner


class MojibakeCleaner(TextCleaner):
    """Repairs text that was read in a wrong encoding, by ftfy (extra `clean`).

    `unicode` repairs UTF-8 that was read as cp1252 or Latin-1 without any package; this one also knows cp1250, cp1251,
    cp437, Mac Roman and other readings. ftfy looks only at texts with characters that such a
    reading leaves.
    """

    type: Literal["mojibake"]

    packages: ClassVar[tuple[str, ...]] = ("ftfy",)
    runtime: ClassVar[str] = "hft_plugins.cleaners.mojibake_runtime"
