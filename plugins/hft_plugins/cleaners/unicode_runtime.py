"""Edits of the cleaner `unicode`. Standard library only: this runs at predict time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple
from unicodedata import category, is_normalized, normalize

from hft_core.runtime.edits import Edit, apply

# Mojibake: what bytes 0x80 to 0xBF become in cp1252, or in Latin-1 where cp1252 has no character.
_TAIL = "\x80-\xbf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ"
_SEQUENCE = f"[\xc2-\xdf][{_TAIL}]|[\xe0-\xef][{_TAIL}]{{2}}|[\xf0-\xf4][{_TAIL}]{{3}}"
_STRETCH = re.compile(f"(?:{_SEQUENCE})+")
# Characters of _TAIL that may follow a letter in sound text: `CAFÉ»`, `Úžasný`. Other ones give mojibake away.
_PLAUSIBLE = frozenset("\xa0«»‘’“”‹›…–—•·®™°ª²³¹†‡ƒŠšŒœŽžŸ")
_USUAL_LEADS = frozenset("ÂÃâð")  # of Latin-1 letters, general punctuation and emoji

_JOINING = "\u0600-\u18af\u2190-\u2bff\ufe0f\U0001f000-\U0001faff"  # scripts and emoji in which a joiner has meaning
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff]"
    f"|(?<![{_JOINING}])[\u200c\u200d]"
)
_SPACE = re.compile("[\x0b\x0c\x1c-\x1f\x85\xa0\u2007\u2028\u2029\u202f]")
_REMOVED = re.compile(f"(?P<invisible>{_INVISIBLE.pattern})|{_SPACE.pattern}")
_SUSPECT = re.compile(f"{_INVISIBLE.pattern}|{_SPACE.pattern}|[\xc2-\xf4][{_TAIL}]")
_SUSPECT_ASCII = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class _Unit(NamedTuple):
    """A stretch of the text, and what it stands for before normalisation."""

    start: int
    end: int
    meaning: str


def edits(settings: dict[str, Any], texts: Sequence[str]) -> list[list[Edit]]:
    """Give the edits of each text; `settings` has `form`."""
    form = settings["form"]
    return [[] if _sound(text, form) else _repairs(text, form) for text in texts]


def _sound(text: str, form: Literal["NFC", "NFKC"]) -> bool:
    """Whether a text surely needs no repair: what nearly all texts pass, in well under a microsecond a word."""
    if text.isascii():
        return not _SUSPECT_ASCII.search(text)
    return not _SUSPECT.search(text) and is_normalized(form, text)


def _repairs(text: str, form: Literal["NFC", "NFKC"]) -> list[Edit]:
    """Normalise cluster by cluster, so that each edit is as small as can be."""
    if not _STRETCH.search(text) and is_normalized(form, text):  # as most dirty texts
        simple = [Edit(*match.span(), "" if match["invisible"] else " ") for match in _REMOVED.finditer(text)]
        if is_normalized(form, apply(text, simple)):  # what an invisible character parted may join
            return simple
    result: list[Edit] = []
    for cluster in _clusters(_units(text)):
        start, end = cluster[0].start, cluster[-1].end
        before = text[start:end]
        after = normalize(form, "".join(unit.meaning for unit in cluster))
        if before != after:
            result.append(_trimmed(start, before, after))
    return result


def _units(text: str) -> Iterator[_Unit]:
    """Give every character, and every stretch of mojibake, with its meaning."""
    position = 0
    for match in _STRETCH.finditer(text) if _is_mojibake(text) else ():
        yield from _characters(text, position, match.start())
        yield _Unit(match.start(), match.end(), _SPACE.sub(" ", _INVISIBLE.sub("", _decoded(match[0]))))
        position = match.end()
    yield from _characters(text, position, len(text))


def _characters(text: str, start: int, end: int) -> Iterator[_Unit]:
    for position in range(start, end):
        meaning = " " if _SPACE.match(text, position) else text[position]
        yield _Unit(position, position + 1, "" if _INVISIBLE.match(text, position) else meaning)


def _is_mojibake(text: str) -> bool:
    """Whether some stretch of a text is mojibake beyond doubt; then all of it that decodes is taken for it.

    `« CAFÉ »` with no-break spaces is valid UTF-8 too when read back: such a stretch alone proves nothing.
    """
    for match in _STRETCH.finditer(text):
        stretch = match[0]
        before, after = text[: match.start()][-1:], text[match.end() :][:1]
        if _decoded(stretch) == stretch:
            continue
        plausible = _PLAUSIBLE.issuperset(re.sub("[\xc2-\xf4]", "", stretch))
        if stretch[0] in _USUAL_LEADS:
            # `IRMÃ”` may end a quotation in capitals; `irmÃ”` does not
            doubtful = plausible and before.isupper() and not after.isalpha()
        else:
            # one sequence of two characters says little, unless a capital within a word begins it: `byÅ‚`
            doubtful = plausible or (len(stretch) == 2 and not before.islower())
        if not doubtful:
            return True
    return False


def _decoded(stretch: str) -> str:
    """Undo one or more wrong readings of a stretch; the stretch itself where its bytes are no UTF-8."""
    try:
        meaning = b"".join(c.encode("latin-1" if c <= "\xff" else "cp1252") for c in stretch).decode()
    except UnicodeDecodeError:
        return stretch
    return _STRETCH.sub(lambda match: _decoded(match[0]), meaning) if _is_mojibake(meaning) else meaning


def _clusters(units: Iterator[_Unit]) -> Iterator[list[_Unit]]:
    """Group units so that normalising group by group gives what normalising the whole would."""
    cluster: list[_Unit] = []
    for unit in units:
        if cluster and not _joins(unit.meaning):
            yield cluster
            cluster = []
        cluster.append(unit)
    if cluster:
        yield cluster


def _joins(meaning: str) -> bool:
    """Whether what a unit stands for may merge with what precedes it: marks, Hangul vowels and finals, nothing at all.

    Every second half of a canonical composition is of these (a test goes through all of Unicode).
    """
    if not meaning:
        return True
    if meaning[0] < "\u0300":
        return False
    first = normalize("NFKD", meaning[0])[0]
    return category(first)[0] == "M" or "\u1160" <= first <= "\u11ff"


def _trimmed(start: int, before: str, after: str) -> Edit:
    """Make an edit without what is equal at both ends."""
    shorter = min(len(before), len(after))
    head = next((i for i in range(shorter) if before[i] != after[i]), shorter)
    tail = next((i for i in range(shorter - head) if before[-1 - i] != after[-1 - i]), shorter - head)
    return Edit(start + head, start + len(before) - tail, after[head : len(after) - tail])
