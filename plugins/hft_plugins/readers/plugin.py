"""Offers the built-in readers."""

from __future__ import annotations

from hft_core import Reader, hookimpl
from hft_plugins.readers.conll import ConllReader
from hft_plugins.readers.dataset import DatasetReader
from hft_plugins.readers.delimited import CsvReader
from hft_plugins.readers.jsonl import JsonlReader
from hft_plugins.readers.parallel import ParallelReader
from hft_plugins.readers.parquet import ParquetReader
from hft_plugins.readers.sql import SqlReader
from hft_plugins.readers.squad import SquadReader
from hft_plugins.readers.text import TextReader


@hookimpl
def register_readers() -> list[type[Reader]]:
    """Offer files of several forms, data sets of the hub, and databases."""
    return [
        CsvReader, JsonlReader, ParquetReader, TextReader, ConllReader, SquadReader, ParallelReader, DatasetReader, SqlReader,
    ]  # fmt: skip
