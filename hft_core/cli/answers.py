"""How `hft predict` writes predictions: JSON lines, CSV, or a table for the eye."""

from __future__ import annotations

import csv
import json
from abc import ABC, abstractmethod
from typing import IO, Any

from hft_core.runtime import ERROR
from hft_core.store.strict_json import strict_json


def writer(form: str, stream: IO[str]) -> Writer:
    """Give the writer for `jsonl`, `csv` or `table`."""
    writers: dict[str, type[Writer]] = {"jsonl": JsonLines, "csv": Csv, "table": Table}
    return writers[form](stream)


class Writer(ABC):
    """Writes one answer per row, in order."""

    def __init__(self, stream: IO[str]):
        self.stream = stream

    @abstractmethod
    def write(self, answers: list[dict[str, Any]]) -> None:
        """Write answers."""

    def close(self) -> None:
        """Write what is left."""
        self.stream.flush()


class JsonLines(Writer):
    """One object per line; Chinese as Chinese."""

    def write(self, answers: list[dict[str, Any]]) -> None:
        """Write one line each."""
        for answer in answers:
            self.stream.write(strict_json(answer) + "\n")
        self.stream.flush()


class Csv(Writer):
    """A column per key of the first answers that hold predictions; what is no plain value stands there as JSON."""

    def __init__(self, stream: IO[str]):
        super().__init__(stream)
        self._columns: list[str] = []
        self._waiting: list[dict[str, Any]] = []  # errors before the first prediction, which tells the columns

    def write(self, answers: list[dict[str, Any]]) -> None:
        """Write a line each, and the header before the first."""
        self._waiting += answers
        if self._columns or any(ERROR not in answer for answer in self._waiting):
            self._write()

    def close(self) -> None:
        """Write errors after which no prediction came."""
        if self._waiting or not self._columns:
            self._write()
        super().close()

    def _write(self) -> None:
        rows = csv.writer(self.stream, lineterminator="\n")
        if not self._columns:
            keys = dict.fromkeys(key for answer in self._waiting for key in answer if key != ERROR)
            self._columns = [*keys, ERROR]
            rows.writerow(self._columns)
        for answer in self._waiting:
            rows.writerow([_cell(answer.get(column)) for column in self._columns])
        self._waiting = []
        self.stream.flush()


class Table(Writer):
    """A table of everything; holds all answers until the end."""

    def __init__(self, stream: IO[str]):
        super().__init__(stream)
        self._answers: list[dict[str, Any]] = []

    def write(self, answers: list[dict[str, Any]]) -> None:
        """Keep the answers."""
        self._answers += answers

    def close(self) -> None:
        """Draw the table."""
        from rich.console import Console
        from rich.table import Table as RichTable

        columns = list(dict.fromkeys(key for answer in self._answers for key in answer))
        table = RichTable()
        for column in columns:
            table.add_column(column, overflow="fold")  # Chinese has no spaces to break a line at
        for answer in self._answers:
            table.add_row(*(_short(answer.get(column)) for column in columns))
        Console(file=self.stream, markup=False, highlight=False).print(table)


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list | bool) else value


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return "  ".join(f"{key} {_short(part)}" for key, part in value.items())
    if isinstance(value, list):
        return "; ".join(map(_short, value))
    return f"{value:.4f}" if isinstance(value, float) else str(_cell(value))
