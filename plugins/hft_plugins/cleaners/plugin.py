"""Offers the built-in cleaners."""

from __future__ import annotations

from hft_core import Cleaner, hookimpl
from hft_plugins.cleaners.chinese import ChineseScriptCleaner
from hft_plugins.cleaners.duplicates import ExactDuplicates
from hft_plugins.cleaners.header_rows import HeaderRowFilter
from hft_plugins.cleaners.html import HtmlCleaner
from hft_plugins.cleaners.label_noise import LabelNoiseFilter
from hft_plugins.cleaners.language import LanguageFilter
from hft_plugins.cleaners.length import LengthFilter
from hft_plugins.cleaners.links import LinkCleaner
from hft_plugins.cleaners.mojibake import MojibakeCleaner
from hft_plugins.cleaners.near_duplicates import NearDuplicates
from hft_plugins.cleaners.noise import RepetitionFilter, SymbolFilter
from hft_plugins.cleaners.personal_data import PersonalDataCleaner
from hft_plugins.cleaners.unicode import UnicodeCleaner
from hft_plugins.cleaners.whitespace import WhitespaceCleaner
from hft_plugins.cleaners.width import WidthCleaner


@hookimpl
def register_cleaners() -> list[type[Cleaner]]:
    """Offer repairs of texts, which run at predict time too, and filters of training rows."""
    repairs: list[type[Cleaner]] = [
        MojibakeCleaner, UnicodeCleaner, HtmlCleaner, LinkCleaner, PersonalDataCleaner, WidthCleaner, ChineseScriptCleaner,
        WhitespaceCleaner,
    ]  # fmt: skip
    filters: list[type[Cleaner]] = [
        HeaderRowFilter, ExactDuplicates, NearDuplicates, LengthFilter, LanguageFilter, RepetitionFilter, SymbolFilter,
        LabelNoiseFilter,
    ]  # fmt: skip
    return repairs + filters
