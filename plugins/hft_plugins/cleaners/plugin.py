"""Offers the built-in cleaners."""

from __future__ import annotations

from hft_core import Cleaner, hookimpl
from hft_plugins.cleaners.duplicates import ExactDuplicates
from hft_plugins.cleaners.html import HtmlCleaner
from hft_plugins.cleaners.length import LengthFilter
from hft_plugins.cleaners.unicode import UnicodeCleaner
from hft_plugins.cleaners.whitespace import WhitespaceCleaner


@hookimpl
def register_cleaners() -> list[type[Cleaner]]:
    """Offer repairs of Unicode, HTML and whitespace, and filters of duplicates and lengths."""
    return [UnicodeCleaner, HtmlCleaner, WhitespaceCleaner, ExactDuplicates, LengthFilter]
