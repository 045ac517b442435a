"""Files for people, each there whole, or as it was before."""

from __future__ import annotations

import os
from pathlib import Path

from hft_core.errors import DiskError


def put_text(file: Path, text: str) -> None:
    """Write a text aside and rename it into place, folders included. Raises DiskError where that cannot be done."""
    aside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            aside.write_text(text, encoding="utf-8")
            aside.replace(file)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise DiskError(
            f"{file} cannot be written: {error.strerror}; choose another place, or free some space"
        ) from error
