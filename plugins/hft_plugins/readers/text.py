"""Reader of plain text: one text a line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import model_validator

from hft_core import Refusal, Rows
from hft_plugins.readers.source import TextFileReader, bare, batched


class TextReader(TextFileReader):
    r"""One text a line; the column is called `text`. Blank lines separate and are no records.

    With a `pattern`, its named groups are the columns: `(?P<label>\w+):(?P<kind>\w+) (?P<text>.+)` reads the lines
    `HUM:ind Who was it ?`, and a line that it does not fit as a whole is refused.
    """

    type: Literal["text"]
    pattern: str | None = None
    """A regular expression (Python's) with named groups; each group is a column. Default: the whole line is the text."""

    @model_validator(mode="after")
    def _pattern_names_columns(self) -> Self:
        if self.pattern is not None:
            try:
                groups = re.compile(self.pattern).groupindex
            except re.error as error:
                raise ValueError(f"`pattern` is no regular expression: {error}") from error
            if not groups:
                raise ValueError("`pattern` has no named group; write at least (?P<text>.+)")
        return self

    def read_file(self, path: Path) -> Iterator[Rows | Refusal]:
        """Yield batches and refusals (`invalid-utf8`, `nul-byte`, `no-match`); places are line numbers."""
        pattern = re.compile(self.pattern or "(?P<text>.*)", 0 if self.pattern else re.DOTALL)
        yield from batched(
            self._records(path, pattern),
            lambda records: {name: [row[name] for row in records] for name in pattern.groupindex},
        )

    def _records(self, path: Path, pattern: re.Pattern[str]) -> Iterator[tuple[int, dict[str, Any] | Refusal]]:
        """Give line number and groups of each line that is not blank."""
        with self.lines(path) as lines:
            for raw in lines:
                place = lines.number
                text = lines.decoded(raw, place)
                if isinstance(text, Refusal):
                    yield place, text
                elif not text or text.isspace():
                    continue
                elif (match := pattern.fullmatch(text)) is None:
                    yield place, Refusal(place, "no-match", f"the pattern does not fit {text[:60]!r}", bare(raw))
                else:
                    yield place, match.groupdict()
