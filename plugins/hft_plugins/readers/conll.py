"""Reader of token files with tags, as of the CoNLL shared tasks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

from pydantic import model_validator

from hft_core import Reader, Refusal, Rows
from hft_plugins.augmenters.words import is_unspaced
from hft_plugins.readers.source import BATCH, Lines, decoded

_SAMPLE = 1_000  # sentences that are looked at for the script
_TAG = re.compile(r"([BIMELSUW])-(.+)")
_BEGINS, _ENDS = frozenset("BSUW"), frozenset("ELSUW")
"""Prefixes whose token is always the first, or always the last, of its entity."""


class _Token(NamedTuple):
    text: str
    prefix: str
    """How it stands to its entity; empty outside of any."""
    type: str


class ConllReader(Reader):
    """Tokens with tags, one token a line, UTF-8, blank lines between sentences; the columns are `text` and `entities`.

    A line has columns, with tabs or, where it has no tab, spaces between them. A tag is `O`, or a prefix, a hyphen and
    a type. The schemes IOB1, BIO, BIOES, BMES and BILOU need no setting: their prefixes agree, and an entity also begins
    where the type changes. `entities` is a list of `{"start", "end", "type"}` in characters of the text. A line that
    cannot be read refuses its whole sentence. Lines with `-DOCSTART-`, and comments (`# …`) before a sentence, are no
    tokens.
    """

    type: Literal["conll"]
    path: Path
    """The file."""
    token: int = 1
    """Number of the column with the token, counted from 1; a negative one counts from the end."""
    tag: int = -1
    """Number of the column with the tag, counted likewise."""
    joiner: str | None = None
    """What stands between two tokens in the text; default: a space, but in Chinese and Japanese nothing, except between
    two ASCII tokens of which one has several characters."""

    @model_validator(mode="after")
    def _columns_fit(self) -> Self:
        if 0 in (self.token, self.tag):
            raise ValueError("columns are counted from 1, or from -1 at the end; there is no column 0")
        if self.token == self.tag:
            raise ValueError(f"`token` and `tag` are both column {self.token}")
        return self

    def read(self) -> Iterator[Rows | Refusal]:
        """Yield batches of sentences and refusals; a place is the number of the sentence's first line.

        Refusals: `invalid-utf8`, `nul-byte`, `missing-tag`, `missing-token`, `unknown-tag`.
        """
        with Lines(self.path) as lines:
            sample = islice(self._sentences(lines), _SAMPLE)
            unspaced = _is_unspaced([sentence for _, sentence in sample if not isinstance(sentence, Refusal)])
            lines.rewind()
            texts: list[str] = []
            entities: list[list[dict[str, Any]]] = []
            places: list[int] = []
            for place, sentence in self._sentences(lines):
                if isinstance(sentence, Refusal):
                    yield sentence
                    continue
                text, found = self._joined(sentence, unspaced)
                texts.append(text)
                entities.append(found)
                places.append(place)
                if len(places) == BATCH:
                    yield Rows({"text": texts, "entities": entities}, places)
                    texts, entities, places = [], [], []
            if places:
                yield Rows({"text": texts, "entities": entities}, places)

    def _sentences(self, lines: Lines) -> Iterator[tuple[int, list[_Token] | Refusal]]:
        """Give first line and tokens of each sentence, or why it cannot be read."""
        for block in _blocks(lines):
            place = block[0][0]
            tokens: list[_Token] = []
            for number, raw in block:
                token = self._token(raw, number, first=not tokens)
                if isinstance(token, Refusal):
                    whole = b"".join(line for _, line in block)
                    yield place, Refusal(place, token.reason, f"line {number}: {token.detail}", whole)
                    break
                if token is not None:
                    tokens.append(token)
            else:
                if tokens:
                    yield place, tokens

    def _token(self, raw: bytes, number: int, first: bool) -> _Token | Refusal | None:
        """Read one line, the first of its sentence or not; None for one that is no token."""
        line = decoded(raw, number)
        if isinstance(line, Refusal):
            return line
        line = line.rstrip()
        columns = line.split("\t") if "\t" in line else re.split(" +", line.strip(" "))
        if columns[0] == "-DOCSTART-":
            return None
        text, tag = _column(columns, self.token), _column(columns, self.tag)
        match = _TAG.fullmatch(tag or "")
        if match is None and tag != "O" and first and line.startswith("#"):
            return None
        if len(columns) < 2 or text is None or tag is None:
            found = f"{len(columns)} {'column' if len(columns) == 1 else 'columns'} in {line[:60]!r}"
            return Refusal(
                number,
                "missing-tag",
                f"{found}, expected a token (column {self.token}) and a tag (column {self.tag})",
                raw,
            )
        if not text:
            return Refusal(number, "missing-token", f"the column of the token is empty in {line[:60]!r}", raw)
        if match is None and tag != "O":
            expected = "expected O, or one of B I E S M L U W, a hyphen and a type, such as B-location"
            return Refusal(number, "unknown-tag", f"found the tag {tag[:60]!r}, {expected}", raw)
        return _Token(text, match[1], match[2]) if match else _Token(text, "", "")

    def _joined(self, tokens: Sequence[_Token], unspaced: bool) -> tuple[str, list[dict[str, Any]]]:
        """Give text and entities of a sentence."""
        pieces = [tokens[0].text]
        for left, right in pairwise(tokens):
            pieces += (self._between(left.text, right.text, unspaced), right.text)
        entities: list[dict[str, Any]] = []
        end, goes_on = 0, False
        for number, token in enumerate(tokens):
            start = end + len(pieces[2 * number - 1]) if number else 0
            end = start + len(token.text)
            if goes_on and token.prefix not in _BEGINS and token.type == entities[-1]["type"]:
                entities[-1]["end"] = end
            elif token.prefix:
                entities.append({"start": start, "end": end, "type": token.type})
            goes_on = bool(token.prefix) and token.prefix not in _ENDS
        return "".join(pieces), entities

    def _between(self, left: str, right: str, unspaced: bool) -> str:
        if self.joiner is not None:
            return self.joiner
        ascii_words = left.isascii() and right.isascii() and len(left) + len(right) > 2
        return "" if unspaced and not ascii_words else " "


def _blocks(lines: Lines) -> Iterator[list[tuple[int, bytes]]]:
    """Give the numbered lines between blank ones."""
    block: list[tuple[int, bytes]] = []
    for raw in lines:
        if raw.strip() and not raw.decode(errors="replace").isspace():
            block.append((lines.number, raw))
        elif block:
            yield block
            block = []
    if block:
        yield block


def _column(columns: Sequence[str], number: int) -> str | None:
    """A column by its number; None where the line has none such."""
    index = number - 1 if number > 0 else len(columns) + number
    return columns[index] if 0 <= index < len(columns) else None


def _is_unspaced(sentences: Sequence[Sequence[_Token]]) -> bool:
    """Whether most tokens with letters are of a script that sets no spaces between words."""
    words = [token.text for sentence in sentences for token in sentence if any(map(str.isalpha, token.text))]
    return sum(any(map(is_unspaced, word)) for word in words) * 2 > len(words)
