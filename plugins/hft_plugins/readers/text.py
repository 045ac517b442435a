"""Reader of plain text: one text a line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from hft_core import Reader, Refusal, Rows
from hft_plugins.readers.source import BATCH, Lines, decoded


class TextReader(Reader):
    """One text a line, UTF-8; the column is called `text`. Blank lines separate and are no records."""

    type: Literal["text"]
    path: Path
    """The file."""

    def read(self) -> Iterator[Rows | Refusal]:
        """Yield batches and refusals (`invalid-utf8`, `nul-byte`); places are line numbers."""
        texts: list[str] = []
        places: list[int] = []
        with Lines(self.path) as lines:
            for raw in lines:
                text = decoded(raw, lines.number)
                if isinstance(text, Refusal):
                    yield text
                elif text and not text.isspace():
                    texts.append(text)
                    places.append(lines.number)
                    if len(texts) == BATCH:
                        yield Rows({"text": texts}, places)
                        texts, places = [], []
        if texts:
            yield Rows({"text": texts}, places)
