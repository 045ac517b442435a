"""Content hashes: of settings, of files and folders, of source code. Times and paths never enter."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any


def digest_json(value: Any) -> str:
    """Hash plain JSON values, 32 hex digits; the order of keys does not matter."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def digest_file(path: Path) -> str:
    """Hash a file's content (sha256, 64 hex digits)."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest_path(path: Path) -> str:
    """Hash a file, or a folder with all files in it by their relative names; what is not there hashes to `absent`."""
    if path.is_file():
        return digest_file(path)[:32]
    if not path.is_dir():
        return "absent"
    return digest_json(
        {str(file.relative_to(path)): digest_file(file) for file in sorted(path.rglob("*")) if file.is_file()}
    )


def digest_source(path: Path) -> str:
    """Hash a plugin's or the engine's source: a file, or all files of a folder but caches."""
    if path.is_file():
        return digest_file(path)[:32]
    files = [file for file in sorted(path.rglob("*")) if file.is_file() and "__pycache__" not in file.parts]
    return digest_json({file.relative_to(path).as_posix(): digest_file(file) for file in files})
