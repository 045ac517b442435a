"""Cleaner of URLs and e-mail addresses."""

from __future__ import annotations

from typing import ClassVar, Literal

from hft_core import TextCleaner


class LinkCleaner(TextCleaner):
    """Masks or strips URLs and e-mail addresses, also within unsegmented Chinese.

    A URL begins with `http://`, `https://`, `ftp://` or `www.`, and ends before a character that is not ASCII and before
    the sentence's punctuation.
    """

    type: Literal["links"]
    urls: str | None = "[URL]"
    """What stands in place of a URL; an empty text strips it, null leaves it."""
    emails: str | None = "[EMAIL]"
    """What stands in place of an e-mail address, likewise."""

    runtime: ClassVar[str] = "hft_plugins.cleaners.links_runtime"
