"""Checksums of a bundle's files, in the form that ``sha256sum -c MANIFEST.sha256`` reads. Standard library only."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from hft_core.errors import DamagedError

NAME = "MANIFEST.sha256"


def sha256_of(file: Path) -> str:
    """Give a file's SHA-256 in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write(folder: Path) -> None:
    """Write the manifest of every file below `folder`."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name != NAME)
    lines = [f"{sha256_of(file)}  {file.relative_to(folder).as_posix()}\n" for file in files]
    (folder / NAME).write_text("".join(lines), encoding="utf-8", newline="\n")


def read(folder: Path) -> dict[str, str]:
    """Give path (relative, with slashes) to SHA-256. Raises DamagedError where the manifest is missing or malformed."""
    try:
        lines = (folder / NAME).read_text(encoding="utf-8").splitlines()
        sums = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    except FileNotFoundError:
        raise DamagedError(f"{folder} has no {NAME}, so it is no complete bundle; copy or export it again") from None
    except ValueError:
        raise DamagedError(f"{folder / NAME} is malformed; copy or export the bundle again") from None
    for name in sums:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or "\\" in name:
            raise DamagedError(f"{folder / NAME} names {name!r}, which lies outside the bundle")
    return sums


def check(folder: Path, sums: dict[str, str], names: Iterable[str]) -> None:
    """Compare the named files with their checksums. Raises DamagedError for the first that differs or is missing."""
    for name in names:
        if name not in sums:
            raise DamagedError(f"{folder / NAME} does not list {name}; export the bundle again")
        if not (folder / name).is_file():
            raise DamagedError(f"{folder / name} is missing; copy or export the bundle again")
        if (found := sha256_of(folder / name)) != sums[name]:
            raise DamagedError(
                f"{folder / name} was changed or damaged: its SHA-256 is {found[:12]}…, the manifest says "
                f"{sums[name][:12]}…; copy or export the bundle again"
            )
