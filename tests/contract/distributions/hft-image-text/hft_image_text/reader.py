"""Reader of images with texts: a table and the files that it names."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from hft_core import DataError, Reader, Refusal, Rows

_BATCH = 200


class ImageFolder(Reader):
    """A folder with a table (`labels.tsv`, UTF-8, one row a line) and the PNG files that it names.

    A row has the columns `text`, `image` (the file as base64 text) and `label`. The store's keys count the whole
    folder, so an image that is painted over makes another run.
    """

    type: Literal["image-folder"]
    path: Path
    """The folder."""
    table: str = "labels.tsv"
    """The table's name in it; its first line names the columns, which tabs divide."""
    images: str = "."
    """The folder with the images, seen from `path`."""
    file: str = "file"
    """Column with an image's file name."""
    text: str = "text"
    """Column with the text."""
    label: str = "label"
    """Column with the label."""

    def read(self) -> Iterator[Rows | Refusal]:
        """Yield batches and refusals (`invalid-utf8`, `wrong-fields`, `outside`, `no-image`); places are line numbers."""
        lines = self._lines()
        names = lines[0].decode("utf-8-sig", "replace").split("\t")
        if lacking := [name for name in (self.file, self.text, self.label) if name not in names]:
            raise DataError(
                f"{self.path / self.table} has no column {lacking[0]!r}; its columns are {', '.join(names)}. Set `file:`, "
                "`text:` and `label:` of the reader"
            )
        rows: list[tuple[str, str, str]] = []
        places: list[int] = []
        for place, line in enumerate(lines[1:], 2):
            if not line.strip():
                continue
            row = self._row(line, names, place)
            if isinstance(row, Refusal):
                yield row
                continue
            rows.append(row)
            places.append(place)
            if len(rows) == _BATCH:
                yield _batch(rows, places)
                rows, places = [], []
        if rows:
            yield _batch(rows, places)

    def _lines(self) -> list[bytes]:
        try:
            lines = (self.path / self.table).read_bytes().splitlines()
        except OSError as error:
            raise DataError(f"{self.path / self.table} cannot be read: {error.strerror}; correct the path") from error
        if not lines:
            raise DataError(f"{self.path / self.table} is empty; its first line has to name the columns")
        return lines

    def _row(self, line: bytes, names: list[str], place: int) -> tuple[str, str, str] | Refusal:
        """Give text, image and label."""
        try:
            fields = line.decode().split("\t")
        except UnicodeDecodeError:
            return Refusal(place, "invalid-utf8", "the line is not UTF-8", line)
        if len(fields) != len(names):
            found = f"the line has {len(fields)} fields, the first line names {len(names)}"
            return Refusal(place, "wrong-fields", found, line)
        row = dict(zip(names, fields, strict=True))
        folder = (self.path / self.images).resolve()
        file = (folder / row[self.file]).resolve()
        if not file.is_relative_to(self.path.resolve()):  # it would not count for the keys
            return Refusal(place, "outside", f"{row[self.file]!r} lies outside {self.path}", line)
        try:
            image = base64.b64encode(file.read_bytes()).decode()
        except OSError as error:
            return Refusal(place, "no-image", f"{file} cannot be read: {error.strerror}", line)
        return row[self.text], image, row[self.label]


def _batch(rows: list[tuple[str, str, str]], places: list[int]) -> Rows:
    return Rows({name: [row[i] for row in rows] for i, name in enumerate(("text", "image", "label"))}, places)
