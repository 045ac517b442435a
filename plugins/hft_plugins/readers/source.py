"""What all readers of text files share: opening a file, its lines, and batches of rows."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from hft_core import DataError, Refusal

BATCH = 5_000
"""Rows in a batch."""
_SAMPLE = 1 << 16  # bytes that are looked at before a file is taken for text
_OTHER_ENCODINGS = {  # UTF-32 first: its mark begins with that of UTF-16
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


class Lines:
    """The lines of a UTF-8 file as bytes, with their numbers, and a way to put lines back."""

    def __init__(self, path: Path):
        """Open `path`. Raises DataError where it is missing, a folder, unreadable, empty or not UTF-8 text."""
        self.number = 0
        """The number of the line that `next` gave last, counted from 1; 0 before the first."""
        self._back: list[bytes] = []  # lines to give again, the next one last
        try:
            with path.open("rb") as file:
                sample = file.read(_SAMPLE)
        except OSError as error:
            raise DataError(_unreadable(path, error)) from error
        _check_text(path, sample, whole=len(sample) < _SAMPLE)
        self._file = path.open("rb")
        self._start = len(codecs.BOM_UTF8) if sample.startswith(codecs.BOM_UTF8) else 0
        self.rewind()

    def rewind(self) -> None:
        """Go back to the first line."""
        self._file.seek(self._start)
        self._back.clear()
        self.number = 0

    def next(self) -> bytes:
        """Give the next line with its line end, b"" at the end of the file."""
        line = self._back.pop() if self._back else self._file.readline()
        if line:
            self.number += 1
        return line

    def put_back(self, lines: list[bytes]) -> None:
        """Make `lines`, the last ones that `next` gave, come again."""
        self._back += reversed(lines)
        self.number -= len(lines)

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.next, b"")


def decoded(raw: bytes, place: int) -> str | Refusal:
    """Give a line as text without its line end, or the refusal `nul-byte` or `invalid-utf8`."""
    raw = raw.removesuffix(b"\n").removesuffix(b"\r")
    if b"\0" in raw:
        return Refusal(place, "nul-byte", "the line holds a NUL byte, which text never does", raw)
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        found = f"byte 0x{raw[error.start]:02x} at position {error.start + 1} of the line is not UTF-8"
        return Refusal(place, "invalid-utf8", found, raw)


def _check_text(path: Path, sample: bytes, whole: bool) -> None:
    """Raise DataError where `sample`, a file's first bytes or all of it, is blank or most of its lines are no text."""
    if not sample.strip() or sample.strip() == codecs.BOM_UTF8:
        if whole:
            raise DataError(f"{path}: the file is empty; name a file with at least one record")
        return
    for mark, encoding in _OTHER_ENCODINGS.items():
        if sample.startswith(mark):
            raise DataError(f"{path}: the file is {encoding}, not UTF-8; convert it: iconv -f {encoding} -t UTF-8")
    if not whole:  # the sample may end within a character: drop up to three following bytes and the first one
        end = len(sample)
        while sample[end - 1] & 0xC0 == 0x80 and len(sample) - end < 3:
            end -= 1
        sample = sample[: end - 1]
    lines = [line for line in sample.split(b"\n") if line.strip()]
    bad = sum(isinstance(decoded(line, 0), Refusal) for line in lines)
    if bad * 2 > len(lines):
        raise DataError(
            f"{path}: {bad} of the first {len(lines)} lines are not UTF-8 text. If it is text in another encoding, "
            "convert it (for Chinese often: iconv -f GB18030 -t UTF-8); if it is compressed or binary, name a text file"
        )


def _unreadable(path: Path, error: OSError) -> str:
    """Say why `path` cannot be opened and, for a missing file, which one may be meant."""
    if isinstance(error, IsADirectoryError) or path.is_dir():
        return f"{path}: this is a folder; name a file in it"
    if not isinstance(error, FileNotFoundError):
        return f"{path}: the file cannot be read: {error.strerror}"
    if not path.parent.is_dir():
        return f"{path}: there is no such file, and no folder {path.parent}; correct the path"
    names = sorted(entry.name for entry in path.parent.iterdir() if entry.is_file())
    near = get_close_matches(path.name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"the folder holds {', '.join(names[:8]) or 'no files'}"
    return f"{path}: there is no such file; {hint}"
