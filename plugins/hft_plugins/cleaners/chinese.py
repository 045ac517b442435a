"""Cleaner that writes Chinese in one script."""

from __future__ import annotations

from typing import ClassVar, Literal

from hft_core import TextCleaner


class ChineseScriptCleaner(TextCleaner):
    """Writes Chinese in simplified or traditional characters, phrase by phrase, by OpenCC (extra `clean`)."""

    type: Literal["chinese-script"]
    conversion: Literal[
        "t2s", "s2t", "tw2s", "s2tw", "tw2sp", "s2twp", "hk2s", "s2hk", "t2tw", "tw2t", "t2hk", "hk2t"
    ] = "t2s"
    """From and to: `s` simplified, `t` traditional, `tw` Taiwan's and `hk` Hong Kong's standard; a `p` at the end replaces
    words of the region, too."""

    packages: ClassVar[tuple[str, ...]] = ("opencc",)
    runtime: ClassVar[str] = "hft_plugins.cleaners.chinese_runtime"
