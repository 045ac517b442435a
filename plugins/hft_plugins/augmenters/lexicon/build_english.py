"""Builds english.tsv.gz, the synonyms of common English words, from the files of WordNet 3.0.

Usage: ``python build_english.py [FOLDER]``; FOLDER holds `data.*`, `index.*`, `*.exc` and `cntlist.rev`
(Debian: package wordnet-base, /usr/share/wordnet, the default). The same files give the same bytes.

A synonym must fit without a look at the context, so an entry is made only where that is likely:
the word's most frequent sense has most of the word's tagged occurrences over all parts of speech (or
the word has one sense only); a synonym shares this synset, which is the synonym's first sense too,
and is not a word that WordNet's corpora lack if they have the word itself. Phrases, names, inflected
forms of other words, and all words that have an offensive sense are left out.
"""

from __future__ import annotations

import gzip
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path

PARTS = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}
_NUMBERS = {"1": "n", "2": "v", "3": "a", "4": "r", "5": "a"}  # the part of speech in a sense key
_WORD = re.compile(r"[a-z]{3,}")
_OFFENSIVE = re.compile(
    r"\bslur\b|offensive|obscen|disparag|derogat|vulgar|taboo|pejorative|contempt\b|contemptu|slang|sexual|coitus|genital|penis|"
    r"vagina|masturbat|prostitut|excrement|f[ae]*ces\b|\burin|homosexual|insult|ethnic"
)
_USAGE_NOTES = {"07124340", "07157273", "06717170"}  # the synsets obscenity, slang, disparagement
_ENDINGS = (
    ("s", ("",), "nv"), ("es", ("",), "nv"), ("ies", ("y",), "nv"), ("ed", ("", "e"), "v"), ("ing", ("", "e"), "v"),
    ("er", ("", "e"), "a"), ("est", ("", "e"), "a"),
)  # fmt: skip  # ending of a form, what its base may have instead, the base's parts of speech
_DOMINANT = 0.6  # least share of a word's tagged occurrences that its first sense has

Key = tuple[str, str]
"""A word and its part of speech."""


def main(folder: Path, target: Path) -> None:
    """Write the table of the WordNet files in `folder` to `target`."""
    words, offensive = read_synsets(folder)
    senses = read_senses(folder)
    counts = read_counts(folder)
    inflected = read_inflected(folder, senses, counts)
    table: dict[str, list[str]] = {}
    for word in sorted({word for word, _ in senses}):
        part = dominant_part(word, senses, counts)
        if part is None or word in offensive or word in inflected or not _WORD.fullmatch(word):
            continue
        synset = senses[word, part][0]
        synonyms = [
            other
            for other in words[part, synset]
            if other != word
            and _WORD.fullmatch(other)
            and other not in offensive
            and other not in inflected
            and senses[other, part][0] == synset
            and (counts[other, part][1] or not counts[word, part][1])
        ]
        if synonyms:
            table[word] = synonyms
    lines = "".join(f"{word}\t{'|'.join(synonyms)}\n" for word, synonyms in table.items())
    target.write_bytes(gzip.compress(lines.encode(), compresslevel=9, mtime=0))
    print(f"{target}: {len(table):,} words, {target.stat().st_size:,} bytes")


def read_synsets(folder: Path) -> tuple[dict[Key, list[str]], set[str]]:
    """Give the words of each synset by (part, offset), as spelt, and all words with an offensive sense."""
    words: dict[Key, list[str]] = {}
    offensive: set[str] = set()
    for name, part in PARTS.items():
        for line in entries(folder / f"data.{name}"):
            data, _, gloss = line.partition(" | ")
            fields = data.split()
            count = int(fields[3], 16)
            members = [re.sub(r"\([a-z]+\)$", "", word) for word in fields[4 : 4 + 2 * count : 2]]  # "(p)": predicative
            words[part, fields[0]] = members
            if _OFFENSIVE.search(gloss.partition('"')[0]) or _USAGE_NOTES.intersection(fields[4 + 2 * count :]):
                offensive.update(member.lower() for member in members)
    return words, offensive


def read_senses(folder: Path) -> dict[Key, list[str]]:
    """Give the synset offsets of each word, the most frequent sense first."""
    senses: dict[Key, list[str]] = {}
    for name, part in PARTS.items():
        for line in entries(folder / f"index.{name}"):
            fields = line.split()
            senses[fields[0], part] = fields[-int(fields[2]) :]
    return senses


def read_counts(folder: Path) -> dict[Key, Counter[int]]:
    """Give how often each sense (counted from 1) of each word was tagged in WordNet's corpora."""
    counts: dict[Key, Counter[int]] = defaultdict(Counter)
    for line in (folder / "cntlist.rev").read_text().splitlines():
        key, sense, count = line.split()
        word, _, rest = key.partition("%")
        counts[word, _NUMBERS[rest[0]]][int(sense)] += int(count)
    return counts


def read_inflected(folder: Path, senses: dict[Key, list[str]], counts: dict[Key, Counter[int]]) -> set[str]:
    """Give words that are rather a form of another word: `saw`, `felt`, `used`, `goods`."""
    bases: dict[str, set[Key]] = defaultdict(set)
    for name, part in PARTS.items():
        for line in (folder / f"{name}.exc").read_text().splitlines():
            form, *lemmas = line.split()
            bases[form].update((lemma, part) for lemma in lemmas)
    for word, _ in senses:
        for ending, letters, parts in _ENDINGS:
            if word.endswith(ending):
                bases[word].update((word[: -len(ending)] + letter, part) for letter in letters for part in parts)

    def total(word: str) -> int:
        return sum(sum(counts[word, part].values()) for part in PARTS.values() if (word, part) in counts)

    return {
        form
        for form, keys in bases.items()
        for key in keys
        if key in senses and key[0] != form and sum(counts.get(key, Counter()).values()) >= total(form)
    }


def dominant_part(word: str, senses: dict[Key, list[str]], counts: dict[Key, Counter[int]]) -> str | None:
    """Give the part of speech whose first sense has most of the word's occurrences; None where there is none."""
    own = {part: counts.get((word, part), Counter()) for part in PARTS.values() if (word, part) in senses}
    total = sum(sum(tagged.values()) for tagged in own.values())
    if total == 0:
        return next(iter(own)) if len(own) == 1 and len(senses[word, next(iter(own))]) == 1 else None
    part = max(own, key=lambda part: own[part][1])
    return part if own[part][1] >= _DOMINANT * total else None


def entries(path: Path) -> list[str]:
    """Give the lines of a WordNet file without the licence, whose lines begin with two spaces."""
    return [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("  ")]


if __name__ == "__main__":
    main(
        Path(sys.argv[1] if len(sys.argv) > 1 else "/usr/share/wordnet"),
        Path(__file__).with_name("english.tsv.gz"),
    )
