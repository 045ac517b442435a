"""Offers the built-in readers."""

from __future__ import annotations

from hft_core import Reader, hookimpl
from hft_plugins.readers.conll import ConllReader
from hft_plugins.readers.delimited import CsvReader
from hft_plugins.readers.jsonl import JsonlReader
from hft_plugins.readers.text import TextReader


@hookimpl
def register_readers() -> list[type[Reader]]:
    """Offer csv (and TSV), jsonl, plain text and conll."""
    return [CsvReader, JsonlReader, TextReader, ConllReader]
