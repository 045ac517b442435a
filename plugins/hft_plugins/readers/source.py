"""What all readers of files share: the settings that name files, their lines, and batches of rows."""

from __future__ import annotations

import codecs
import tempfile
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from glob import glob
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

from pydantic import field_validator

from hft_core import Columns, DataError, Reader, Refusal, Rows
from hft_core.runtime.encoding import detect
from hft_plugins.readers.compressed import damage_told, open_file

Record = TypeVar("Record")

BATCH = 5_000
"""Rows in a batch."""
_SAMPLE = 1 << 16  # bytes that are looked at before a file is taken for text
_CHUNK = 1 << 20
_LONGEST_LINE = 1 << 24
"""Bytes of a line at most: a longer one is refused, and never in memory as a whole."""


class FileReader(Reader):
    """Base of readers of files, each of which may be packed with gzip or zip."""

    path: Path | list[Path]
    """The file, as it is or packed with gzip or zip; several with the same columns as a list, or as a pattern such as
    `data/*.csv`, whose files are read in the order of their names."""
    member: str | None = None
    """The file within a zip archive; may be left out where it is the only one."""

    @field_validator("path", mode="after")
    @classmethod
    def _pattern_names_files(cls, value: Path | list[Path]) -> Path | list[Path]:
        """Put the files in place of a pattern."""
        found = [file for path in (value if isinstance(value, list) else [value]) for file in _matching(path)]
        if not found:
            raise ValueError("the list of files is empty; name at least one")
        return value if found == [value] else found

    def files(self) -> list[Path]:
        """All files, in order."""
        return self.path if isinstance(self.path, list) else [self.path]

    def read(self) -> Iterator[Rows | Refusal]:
        """Read all files; the places of rows count through them. Raises DataError where their columns differ."""
        yield from one_after_another(self.files(), self.read_file)

    @abstractmethod
    def read_file(self, path: Path) -> Iterator[Rows | Refusal]:
        """Yield batches and refusals of one file."""


class TextFileReader(FileReader):
    """Base of readers of text files."""

    encoding: str | None = None
    """Its encoding, such as `latin-1` or `gb18030`. Default: found in the file: UTF-8, UTF-16 and UTF-32 with a byte order
    mark, GB 18030, and windows-1252, which covers Latin-1."""

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                "a".encode(value)
            except LookupError as error:
                raise ValueError(
                    f"{error}; known are utf-8, utf-16, latin-1, windows-1252, gb18030, big5, …"
                ) from error
        return value

    def lines(self, path: Path) -> Lines:
        """Open a file. Raises DataError where it is missing, a folder, unreadable, empty or no text."""
        return Lines(path, self.member, self.encoding)

    def found(self) -> dict[str, str]:
        """The encoding of the files, where it was found and is not UTF-8."""
        if self.encoding:
            return {}
        encodings: dict[str, None] = {}
        for path in self.files():
            with self.lines(path) as lines:
                encodings[lines.encoding] = None
        return {} if list(encodings) == ["utf-8"] else {"encoding": ", ".join(encodings)}


class Lines:
    """The lines of a text file as bytes, with their numbers, and a way to put lines back."""

    def __init__(self, path: Path, member: str | None = None, encoding: str | None = None):
        """Open `path`. Raises DataError where it is missing, a folder, unreadable, empty or no text."""
        self.number = 0
        """The number of the line that `next` gave last, counted from 1; 0 before the first."""
        self._path = path
        self._back: list[bytes] = []  # lines to give again, the next one last
        self._file, self.name = open_file(path, member)
        with damage_told(path):
            self.encoding = encoding or detect(self._file)
            self._file.seek(0)
            self._codec = self.encoding
            if not _ends_lines_like_ascii(self._codec):
                self._file, self._codec = _as_utf8(self._file, self._codec), "utf-8"
            sample = self._file.read(_SAMPLE)
        self._start = len(codecs.BOM_UTF8) if sample.startswith(codecs.BOM_UTF8) else 0
        self._check_text(sample[self._start :], whole=len(sample) < _SAMPLE)
        self.rewind()

    def rewind(self) -> None:
        """Go back to the first line."""
        self._file.seek(self._start)
        self._back.clear()
        self.number = 0

    def next(self) -> bytes:
        """Give the next line with its line end, b"" at the end of the file.

        Raises DataError for a file whose lines end with carriage returns alone, and for one that turns out damaged.
        """
        if self._back:
            line = self._back.pop()
        else:
            try:
                line = self._file.readline(_LONGEST_LINE + 1)
                while len(line) > _LONGEST_LINE and not line.endswith(b"\n") and (more := self._file.readline(_CHUNK)):
                    line = line[:_LONGEST_LINE] + more[-1:]  # the rest is passed over: `decoded` refuses the line
            except Exception:
                with damage_told(self._path, self.number):
                    raise
        if self.number == 0 and not line.endswith(b"\n") and line.count(b"\r") > 1:  # one alone may stand in a text
            raise DataError(
                f"{self._path}: its lines end with carriage returns alone, as of an old Mac; save it with line feeds "
                "(from a spreadsheet as CSV UTF-8, not as Macintosh)"
            )
        if line:
            self.number += 1
        return line

    def put_back(self, lines: list[bytes]) -> None:
        """Make `lines`, the last ones that `next` gave, come again."""
        self._back += reversed(lines)
        self.number -= len(lines)

    def decoded(self, raw: bytes, place: int) -> str | Refusal:
        """Give a line as text without its line end, or the refusal `nul-byte`, `invalid-ENCODING` or `line-too-long`."""
        if len(raw) > _LONGEST_LINE:
            return Refusal(place, "line-too-long", f"the line has over {_LONGEST_LINE >> 20} MiB", raw[:1000])
        raw = bare(raw)
        if b"\0" in raw:
            return Refusal(place, "nul-byte", "the line holds a NUL byte, which text never does", raw)
        try:
            return raw.decode(self._codec)
        except UnicodeDecodeError as error:
            found = (
                f"byte 0x{raw[error.start]:02x} at position {error.start + 1} of the line is not {self._codec.upper()}"
            )
            return Refusal(place, f"invalid-{self._codec}".replace("utf-8", "utf8"), found, raw)

    def text(self) -> Iterator[str]:
        """Give the whole text in pieces; bytes that cannot be decoded become lone surrogates (`surrogateescape`)."""
        decoder = codecs.getincrementaldecoder(self._codec)("surrogateescape")
        self.rewind()
        with damage_told(self._path):
            while chunk := self._file.read(_CHUNK):
                if piece := decoder.decode(chunk):
                    yield piece
        yield decoder.decode(b"", final=True)

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.next, b"")

    def _check_text(self, sample: bytes, whole: bool) -> None:
        """Raise DataError where `sample`, a file's first bytes or all of it, is blank or most of its lines are no text."""
        if not sample.strip():
            if whole:
                raise DataError(f"{self._path}: the file is empty; name a file with at least one record")
            return
        *lines, last = [line for line in sample.split(b"\n") if line.strip()]
        bad = sum(isinstance(self.decoded(line, 0), Refusal) for line in lines)
        bad += b"\0" in last or not _begins_text(last, self._codec)
        lines.append(last)
        if bad * 2 > len(lines):
            raise DataError(
                f"{self._path}: {bad} of the first {len(lines)} lines are not {self._codec.upper()} text. If it is text in "
                "another encoding, write it down (`encoding: big5`), or leave a wrong one out; if it is no text, name a text file"
            )


def one_after_another(
    files: Sequence[Path], read: Callable[[Path], Iterator[Rows | Refusal]], fill: bool = False
) -> Iterator[Rows | Refusal]:
    """Read several files as one source: places count through them, and refusals say their file.

    With `fill` a column of the first file that a later one lacks is None there, and further columns are left out;
    otherwise DataError is raised where the columns differ.
    """
    if len(files) == 1:
        yield from read(files[0])
        return
    called = [file.name for file in files]
    if len(set(called)) < len(called):
        called = list(map(str, files))
    before = 0
    names: list[str] = []
    for file, name in zip(files, called, strict=True):
        last = 0
        for item in read(file):
            if isinstance(item, Refusal):
                last = max(last, item.place)
                yield replace(item, file=name)
                continue
            names = names or list(item.columns)
            if not fill and set(names) != set(item.columns):
                raise DataError(
                    f"{file}: its columns are {', '.join(item.columns)}, those of {called[0]} are {', '.join(names)}; files of "
                    "one source have the same columns"
                )
            last = max(last, item.places[-1])
            missing = [None] * len(item.places)
            columns = {column: item.columns.get(column, missing) for column in names}
            yield Rows(columns, [before + place for place in item.places], name, before)
        before += last


def _matching(path: Path) -> list[Path]:
    """The file itself, or those of a pattern."""
    if path.exists() or not any(sign in str(path) for sign in "*?["):
        return [path]
    found = sorted(map(Path, glob(str(path))))
    if not found:
        raise ValueError(f"no file fits {path}; correct the pattern")
    return found


def batched(
    records: Iterable[tuple[int, Record | Refusal]], columns_of: Callable[[list[Record]], Columns]
) -> Iterator[Rows | Refusal]:
    """Give records, which come with their places, as batches of rows, and each refusal at once."""
    found: list[Record] = []
    places: list[int] = []
    for place, record in records:
        if isinstance(record, Refusal):
            yield record
            continue
        found.append(record)
        places.append(place)
        if len(places) == BATCH:
            yield Rows(columns_of(found), places)
            found, places = [], []
    if places:
        yield Rows(columns_of(found), places)


def bare(raw: bytes) -> bytes:
    """A line without its line end."""
    return raw.removesuffix(b"\n").removesuffix(b"\r")


def first_line(error: BaseException) -> str:
    """What an error of another library says, for a message of one line."""
    return str(error).strip().partition("\n")[0] or "no reason given"


def _begins_text(raw: bytes, codec: str) -> bool:
    """Whether it can be decoded, but for a character that is cut at the end."""
    try:
        codecs.getincrementaldecoder(codec)().decode(raw)
    except UnicodeDecodeError:
        return False
    return True


def _ends_lines_like_ascii(encoding: str) -> bool:
    """Whether lines and quotes can be found in the bytes; not in UTF-16, UTF-32 and EBCDIC."""
    return '\n",'.encode(encoding) == b'\n",'


def _as_utf8(stream: BinaryIO, encoding: str) -> BinaryIO:
    """Write a text anew as UTF-8, into a temporary file; what cannot be decoded becomes a byte that is not UTF-8."""
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    target = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115  # Lines closes it
    with stream:
        while chunk := stream.read(_CHUNK):
            target.write(_marked(decoder.decode(chunk)))
    target.write(_marked(decoder.decode(b"", final=True)))
    target.seek(0)
    return target


def _marked(text: str) -> bytes:
    return text.encode().replace("\ufffd".encode(), b"\xff")
