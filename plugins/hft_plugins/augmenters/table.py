"""Tables of synonyms, packaged or the user's."""

from __future__ import annotations

import gzip
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from hft_core import DataError
from hft_plugins.augmenters.longest import word_lengths
from hft_plugins.augmenters.protected import PROTECTED, may_come_in, negates
from hft_plugins.augmenters.words import is_unspaced, plain

ENGLISH = Path(__file__).parent / "lexicon" / "english.tsv.gz"
"""The packaged table, made by lexicon/build_english.py of WordNet 3.0."""
UNREADABLE = (OSError, EOFError, zlib.error, UnicodeDecodeError)
"""What reading a table raises where it is missing, damaged or no text."""
_WORDNET = re.compile(r"\d{8}-[a-z]\t[a-z]{2,3}:lemma\t")
_MOST = 4  # synonyms of a word out of a wordnet


class Entry(NamedTuple):
    """What stands for a word."""

    tier: float
    """0 for close synonyms; 1 for less sure ones, which serve where no close ones are left."""
    synonyms: tuple[str, ...]


class Table(NamedTuple):
    """A table of synonyms without the protected words."""

    entries: Mapping[str, Entry]
    """By word."""
    lengths: Mapping[str, tuple[int, ...]]
    """For unspaced scripts: lengths of the words (protected ones too) by first two characters, longest first."""


def load(path: Path, protected: frozenset[str]) -> Table:
    """Give the table of a file, in UTF-8; one whose name ends in `.gz` is compressed. Single Han characters have no entry.

    Protected words do not come in either; out of a wordnet no word with a negation or a digit within does, nor goes.

    Either one word a line: the word, a tab, its synonyms separated by ``|`` or tabs; a list that begins with ~ is
    a wide one; lines that begin with # are comments. Or a tab file of the Open Multilingual Wordnet (lines of synset, kind
    and word): synonyms are the words that share most synsets with a word, wide for a word with several. Raises DataError.
    """
    try:
        return _loaded(path, path.stat().st_mtime_ns, protected)
    except UNREADABLE as error:
        raise DataError(f"{path}: the table of synonyms cannot be read: {error}; name a TSV file in UTF-8") from error


@lru_cache(maxsize=4)
def _loaded(path: Path, changed: int, protected: frozenset[str]) -> Table:
    """Read the file; `changed`, its time, keeps a stale table from being given for a new one."""
    lines = _lines(path)
    read = _wordnet(lines) if lines and _WORDNET.match(lines[0][1]) else _tsv(path, lines)
    entries = {
        word: entry._replace(synonyms=synonyms)
        for word, entry in read.items()
        if word not in protected and not (len(word) == 1 and is_unspaced(word))
        if (synonyms := tuple(other for other in entry.synonyms if plain(other) not in PROTECTED))
    }
    return Table(entries, word_lengths(protected.union(entries)))


def read_tsv(path: Path) -> dict[str, Entry]:
    """Give all entries of a TSV file, see `load`. Raises DataError for a line that is none."""
    return _tsv(path, _lines(path))


def _lines(path: Path) -> list[tuple[int, str]]:
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [
        (number, line)
        for number, line in enumerate(data.decode("utf-8-sig").splitlines(), 1)
        if line.strip() and not line.startswith("#")
    ]


def _tsv(path: Path, lines: Iterable[tuple[int, str]]) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    for number, line in lines:
        word, *rest = (part.strip() for part in line.replace("|", "\t").split("\t"))
        if not word or not any(rest):
            raise DataError(
                f"{path}, line {number}: found {line[:60]!r}; write a word, a tab, and its synonyms separated by |"
            )
        wide = rest[0].startswith("~")
        rest[0] = rest[0].removeprefix("~")
        entries[word] = Entry(int(wide), tuple(other for other in dict.fromkeys(rest) if other and other != word))
    return entries


def _wordnet(lines: Iterable[tuple[int, str]]) -> dict[str, Entry]:
    synsets: dict[str, list[str]] = defaultdict(list)
    for _, line in lines:
        synset, kind, word, *_ = line.rstrip("\n").split("\t")
        word = word.replace("+", "")
        if kind.endswith(":lemma") and not re.search(r"[\s_]", word):
            synsets[synset].append(word)
    shared: dict[str, Counter[str]] = defaultdict(Counter)
    senses: Counter[str] = Counter()
    for words in synsets.values():
        for word in dict.fromkeys(words):
            senses[word] += 1
            shared[word].update(other for other in dict.fromkeys(words) if other != word and _may_come_in(other))
    entries: dict[str, Entry] = {}
    for word, others in shared.items():
        most = max(others.values(), default=0)
        best = tuple(other for other, count in others.items() if count == most)[:_MOST]
        entries[word] = Entry(int(senses[word] > 1), () if negates(word) else best)
    return entries


def _may_come_in(word: str) -> bool:
    return may_come_in(word) and not any(map(str.isdigit, word))
