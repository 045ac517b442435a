"""Builds english.tsv.gz, the synonyms of common English words, from the files of WordNet 3.0.

Usage: ``python build_english.py [FOLDER]``; FOLDER holds `data.*`, `index.*`, `*.exc` and `cntlist.rev`
(Debian: package wordnet-base, /usr/share/wordnet, the default). The same files give the same bytes.

A synonym must fit without a look at the context. Common words have entries that were written by hand
(common_english.tsv). Of the others, a close entry is made only where that is likely: the word's most frequent sense
has most of the word's tagged occurrences over all parts of speech (or the word has one sense only); a synonym shares
this synset, which is the synonym's first sense too, and is not a word that WordNet's corpora lack if they have the
word itself. Where there is none, a wide one (its list begins with `~`) takes what is less sure: a sense with a third
of the occurrences, rare synonyms, else the words of a hypernym or a similar adjective. Plurals and forms of verbs get
the same forms of the synonyms. Phrases, names, ambiguous forms, and all words that have an offensive sense are left
out.
"""

from __future__ import annotations

import gzip
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
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
_DOMINANT = 0.6
"""Least share of a word's tagged occurrences that the first sense of a close entry has."""
_LIKELY = 0.3
"""That of a wide one."""
_RARER = 20
"""How many times less frequent than the word its hypernyms and similar adjectives may be."""
_MOST = 4
"""Synonyms of a word at most, the most frequent ones."""

Key = tuple[str, str]
"""A word and its part of speech."""


def main(folder: Path, target: Path) -> None:
    """Write the table of the WordNet files in `folder` to `target`."""
    net = WordNet(folder)
    table: dict[str, tuple[str, list[str]]] = {}
    for word in sorted({word for word, _ in net.senses}):
        if word in net.offensive or word in net.inflected or not _WORD.fullmatch(word):
            continue
        for mark, part, synonyms in (("", *net.close(word)), ("~", *net.wide(word))):
            if part and synonyms:
                table[word] = (mark, synonyms)
                for form, others in net.forms(word, part, synonyms):
                    table.setdefault(form, (mark, others))
                break
    table |= {word: ("", synonyms.split("|")) for word, synonyms in read_common()}
    lines = "".join(f"{word}\t{mark}{'|'.join(synonyms)}\n" for word, (mark, synonyms) in sorted(table.items()))
    target.write_bytes(gzip.compress(lines.encode(), compresslevel=9, mtime=0))
    print(f"{target}: {len(table):,} words, {target.stat().st_size:,} bytes")


class WordNet:
    """What the files say."""

    def __init__(self, folder: Path):
        self.words, self.offensive = read_synsets(folder)
        self.senses = read_senses(folder)
        self.counts = read_counts(folder)
        self.inflected = read_inflected(folder, self.senses, self.counts)
        self.related = read_related(folder)
        self.irregular = read_irregular(folder)

    def close(self, word: str) -> tuple[str | None, list[str]]:
        """Give part of speech and synonyms of a close entry."""
        part = dominant_part(word, self.senses, self.counts, _DOMINANT)
        if part is None:
            return None, []
        tagged = bool(self.count(word, part))
        found = self._first_sense(word, part, self.senses[word, part][0])
        return part, [other for other in found if self.count(other, part) or not tagged]

    def wide(self, word: str) -> tuple[str | None, list[str]]:
        """Give part of speech and synonyms of a wide entry."""
        part = dominant_part(word, self.senses, self.counts, _LIKELY)
        if part is None:
            return None, []
        synset = self.senses[word, part][0]
        related = [
            other
            for near in self.related.get((part, synset), ())
            for other in self._first_sense(word, part, near)
            if self.count(other, part) * _RARER >= self.count(word, part)
        ]
        for found in (self._first_sense(word, part, synset), related):
            if common := [other for other in found if self.count(other, part)]:
                return part, common[:_MOST]
        return part, self._first_sense(word, part, synset)

    def _first_sense(self, word: str, part: str, synset: str) -> list[str]:
        """Words of a synset whose first sense it is, the most frequent ones first."""
        found = [
            other
            for other in self.words[part, synset]
            if other != word
            and _WORD.fullmatch(other)
            and other not in self.offensive
            and other not in self.inflected
            and self.senses[other, part][0] == synset
        ]
        return sorted(found, key=lambda other: -self.count(other, part))[:_MOST]

    def count(self, word: str, part: str) -> int:
        """How often the word's first sense was tagged."""
        return self.counts[word, part][1]

    def forms(self, word: str, part: str, synonyms: list[str]) -> Iterator[tuple[str, list[str]]]:
        """Give each inflected form of a word that WordNet's corpora have, with the same form of the synonyms."""
        if not self.count(word, part):
            return
        for ending in {"n": ("s",), "v": ("s", "ed", "ing")}.get(part, ()):
            form = self.form(word, part, ending)
            others = [made for other in synonyms if (made := self.form(other, part, ending))]
            if (
                form
                and others
                and form not in self.offensive
                and not any((form, other) in self.senses for other in "nvar")
            ):
                yield form, others

    def form(self, word: str, part: str, ending: str) -> str | None:
        """Give a word's plural, third person, past or -ing form; None where past and participle differ."""
        listed = [
            form
            for form in self.irregular.get((word, part), ())
            if form.endswith("ing") == (ending == "ing") and _WORD.fullmatch(form)
        ]
        if listed and not (part == "v" and ending == "s"):
            return listed[0] if len(listed) == 1 else None
        if word[-1] == "y" and word[-2] not in "aeiou" and ending != "ing":
            return word[:-1] + ("ies" if ending == "s" else "ied")
        if ending == "s":
            return word + ("es" if re.search("(s|x|z|ch|sh)$", word) else "s")
        if word.endswith("ie") and ending == "ing":
            return word[:-2] + "ying"
        if word[-1] == "e" and (ending == "ed" or word[-2] not in "eoy"):
            return word[:-1] + ending
        return word + ending


def read_common() -> list[list[str]]:
    """Give the entries that were written by hand."""
    lines = Path(__file__).with_name("common_english.tsv").read_text("utf-8").splitlines()
    return [line.split("\t") for line in lines if not line.startswith("#")]


def read_related(folder: Path) -> dict[Key, list[str]]:
    """Give the hypernyms and similar adjectives of each synset by (part, offset)."""
    related: dict[Key, list[str]] = defaultdict(list)
    for name, part in PARTS.items():
        for line in entries(folder / f"data.{name}"):
            fields = line.partition(" | ")[0].split()
            begin = 4 + 2 * int(fields[3], 16)
            for start in range(begin + 1, begin + 1 + 4 * int(fields[begin]), 4):
                symbol, offset, other, words = fields[start : start + 4]
                if symbol in ("@", "&") and words == "0000" and other.replace("s", "a") == part:
                    related[part, fields[0]].append(offset)
    return related


def read_irregular(folder: Path) -> dict[Key, list[str]]:
    """Give the irregular forms of words."""
    forms: dict[Key, list[str]] = defaultdict(list)
    for name, part in PARTS.items():
        for line in (folder / f"{name}.exc").read_text().splitlines():
            form, *lemmas = line.split()
            for lemma in lemmas:
                forms[lemma, part].append(form)
    return forms


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


def dominant_part(word: str, senses: dict[Key, list[str]], counts: dict[Key, Counter[int]], least: float) -> str | None:
    """Give the part of speech whose first sense has this share of the word's occurrences; None where there is none."""
    own = {part: counts.get((word, part), Counter()) for part in PARTS.values() if (word, part) in senses}
    total = sum(sum(tagged.values()) for tagged in own.values())
    if total == 0:
        return next(iter(own)) if len(own) == 1 and len(senses[word, next(iter(own))]) == 1 else None
    part = max(own, key=lambda part: own[part][1])
    return part if own[part][1] >= least * total else None


def entries(path: Path) -> list[str]:
    """Give the lines of a WordNet file without the licence, whose lines begin with two spaces."""
    return [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("  ")]


if __name__ == "__main__":
    main(
        Path(sys.argv[1] if len(sys.argv) > 1 else "/usr/share/wordnet"),
        Path(__file__).with_name("english.tsv.gz"),
    )
