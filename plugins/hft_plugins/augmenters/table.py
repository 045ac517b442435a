"""Tables of synonyms, packaged or the user's."""

from __future__ import annotations

import gzip
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from hft_core import DataError
from hft_plugins.augmenters.words import is_unspaced

ENGLISH = Path(__file__).parent / "lexicon" / "english.tsv.gz"
"""The packaged table, made by lexicon/build_english.py of WordNet 3.0."""


class Table(NamedTuple):
    """A table of synonyms without the protected words."""

    synonyms: dict[str, tuple[str, ...]]
    """Synonyms by word."""
    lengths: dict[str, list[int]]
    """For unspaced scripts: lengths of the words (protected ones too) by first character, longest first; 2 or more."""


def load(path: Path, protected: frozenset[str]) -> Table:
    """Give the table of a file.

    UTF-8, one word a line: the word, a tab, its synonyms separated by ``|`` or tabs; lines that begin with #
    are comments; a name that ends in `.gz` is compressed. Raises DataError.
    """
    try:
        return _loaded(path, path.stat().st_mtime_ns, protected)
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: the table of synonyms cannot be read: {error}; name a TSV file in UTF-8") from error


@lru_cache(maxsize=4)
def _loaded(path: Path, changed: int, protected: frozenset[str]) -> Table:
    """Read the file; `changed`, its time, keeps a stale table from being given for a new one."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    synonyms: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(data.decode("utf-8-sig").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        word, *rest = (part.strip() for part in line.replace("|", "\t").split("\t"))
        if not word or not any(rest):
            raise DataError(
                f"{path}, line {number}: found {line[:60]!r}; write a word, a tab, and its synonyms separated by |"
            )
        others = tuple(other for other in dict.fromkeys(rest) if other and other != word)
        if others and word not in protected:
            synonyms[word] = others
    lengths: dict[str, set[int]] = {}
    for word in protected.union(synonyms):
        if len(word) > 1 and is_unspaced(word[0]):
            lengths.setdefault(word[0], set()).add(len(word))
    return Table(synonyms, {first: sorted(found, reverse=True) for first, found in lengths.items()})
