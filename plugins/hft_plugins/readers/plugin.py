"""Offers the built-in readers."""

from __future__ import annotations

from hft_core import Reader, hookimpl
from hft_plugins.readers.delimited import CsvReader
from hft_plugins.readers.jsonl import JsonlReader
from hft_plugins.readers.text import TextReader


@hookimpl
def register_readers() -> list[type[Reader]]:
    """Offer csv (and TSV), jsonl and plain text."""
    return [CsvReader, JsonlReader, TextReader]
