"""Files as they are, or inside gzip and zip."""

from __future__ import annotations

import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import BinaryIO, cast

from hft_core import DataError

_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"


def open_file(path: Path, member: str | None) -> tuple[BinaryIO, str]:
    """Open a file for reading, unpacked where its first bytes say gzip or zip; gives the stream and the inner name.

    The stream can be rewound. Raises DataError where there is nothing to read.
    """
    try:
        with path.open("rb") as file:
            mark = file.read(4)
    except OSError as error:
        raise DataError(_unreadable(path, error)) from error
    if mark == _ZIP:
        with damage_told(path), zipfile.ZipFile(path) as archive:  # its file stays open as long as the stream is
            return _member(path, archive, member)
    if member is not None:
        raise DataError(f"{path}: `member` names {member!r}, but the file is no zip archive; leave it out")
    if mark.startswith(_GZIP):
        return cast(BinaryIO, gzip.open(path)), path.name.removesuffix(".gz")
    return path.open("rb"), path.name


@contextmanager
def damage_told(path: Path, line: int = 0) -> Iterator[None]:
    """Turn what unpacking a damaged archive raises into a DataError."""
    try:
        yield
    except (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, OSError, NotImplementedError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's, not the archive's
        where = f" after line {line}" if line else ""
        raise DataError(f"{path}: the archive cannot be unpacked{where} ({error}); get the file again") from error


def _member(path: Path, archive: zipfile.ZipFile, member: str | None) -> tuple[BinaryIO, str]:
    """Open the wanted file of an archive, or the only one; what macOS adds does not count."""
    names = [
        info.filename
        for info in archive.infolist()
        if not info.is_dir() and not info.filename.startswith("__MACOSX/") and not info.filename.endswith(".DS_Store")
    ]
    if "xl/workbook.xml" in names:
        raise DataError(f"{path}: this is an Excel workbook; save its sheet as CSV (UTF-8) and name that file")
    listed = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
    if member is None and len(names) != 1:
        raise DataError(
            f"{path}: the archive holds {len(names)} files ({listed}); write `member:` with the one to read"
        )
    name = names[0] if member is None else member
    if name not in names:
        near = get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"it holds {listed}"
        raise DataError(f"{path}: the archive has no file {name!r}; {hint}")
    try:
        stream = archive.open(name)
    except RuntimeError as error:  # encrypted
        raise DataError(f"{path}: {name} cannot be unpacked: {error}; unpack the archive yourself") from error
    return io.BufferedReader(cast(io.RawIOBase, stream), 1 << 16), Path(name).name


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
