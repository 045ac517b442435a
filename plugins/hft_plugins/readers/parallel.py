"""Reader of parallel text: files whose lines are translations of each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from hft_core import DataError, Reader, Refusal, Rows
from hft_plugins.readers.source import Lines, TextFileReader, bare, batched


class ParallelReader(Reader):
    """Files of which line n of each says the same in another language; a column per file, a row per line.

    Lines that are blank in every file are no records; a line that is blank in some of them is refused. The files must
    have equally many lines: otherwise a line is missing somewhere, and all texts after it stand beside a wrong one.
    """

    type: Literal["parallel"]
    paths: list[Path] = Field(min_length=2)
    """The files, each as it is or packed with gzip."""
    columns: list[str] | None = None
    """A name for each file's column. Default: the endings in which the files' names differ, such as `en` and `de`."""
    encoding: str | None = None
    """The encoding of all files. Default: found in each, as for other text files."""

    @model_validator(mode="after")
    def _a_column_per_file(self) -> Self:
        TextFileReader._is_known(self.encoding)
        names = self._names()
        if len(names) != len(self.paths) or len(set(names)) < len(names):
            raise ValueError(f"{len(self.paths)} files need as many different `columns`; found {', '.join(names)}")
        return self

    def read(self) -> Iterator[Rows | Refusal]:
        """Yield batches and refusals (`invalid-utf8`, `nul-byte`, `missing-translation`); places are line numbers."""
        names = self._names()
        yield from batched(
            self._records(),
            lambda rows: {name: list(texts) for name, texts in zip(names, zip(*rows, strict=True), strict=True)},
        )

    def _records(self) -> Iterator[tuple[int, list[str] | Refusal]]:
        """Give line number and texts of each line that is not blank in all files."""
        with ExitStack() as stack:
            files = [stack.enter_context(Lines(path, encoding=self.encoding)) for path in self.paths]
            while any(raws := [file.next() for file in files]):
                if not all(raws):
                    self._refuse_lengths(files)
                place = files[0].number
                if (record := _record(files, raws, place)) is not None:
                    yield place, record

    def _names(self) -> list[str]:
        if self.columns is not None:
            return self.columns
        endings = [path.name.removesuffix(".gz").rpartition(".")[2] for path in self.paths]
        return endings if len(set(endings)) == len(endings) else [path.name.partition(".")[0] for path in self.paths]

    def _refuse_lengths(self, files: list[Lines]) -> None:
        for file in files:
            for _ in file:
                pass
        counts = ", ".join(f"{path.name} {file.number:,}" for path, file in zip(self.paths, files, strict=True))
        raise DataError(
            f"{self.paths[0]}: the files have different numbers of lines ({counts}), so lines stand beside wrong ones; find "
            "the missing line, or take the right files"
        )


def _record(files: list[Lines], raws: list[bytes], place: int) -> list[str] | Refusal | None:
    """The texts of a line; None for a line that is blank in all files."""
    texts: list[str] = []
    whole = b"\t".join(map(bare, raws))
    for file, raw in zip(files, raws, strict=True):
        text = file.decoded(raw, place)
        if isinstance(text, Refusal):
            return Refusal(place, text.reason, f"{file.name}: {text.detail}", whole)
        texts.append(text)
    blank = [file.name for file, text in zip(files, texts, strict=True) if not text.strip()]
    if len(blank) == len(texts):
        return None
    return Refusal(place, "missing-translation", f"the line is blank in {', '.join(blank)}", whole) if blank else texts
