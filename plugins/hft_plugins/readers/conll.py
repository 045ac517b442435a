"""Reader of token files with tags, as of the CoNLL shared tasks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Literal, Self

from pydantic import model_validator

from hft_core import Refusal, Rows
from hft_plugins.readers.source import Lines, TextFileReader, batched
from hft_plugins.readers.tag_schemes import mixed_schemes
from hft_plugins.readers.tagged import EXPECTED, Token, is_unspaced, joined, tag_of

_SAMPLE = 1_000  # sentences that are looked at for the script
_LOOKED_AT = 20_000  # sentences that are looked at for the scheme of tags


class ConllReader(TextFileReader):
    """Tokens with tags, one token a line, blank lines between sentences; the columns are `text` and `entities`.

    A line has columns, with tabs or, where it has no tab, spaces between them. A tag is `O`, or a prefix, a hyphen and
    a type. The schemes IOB1, BIO, BIOES, BMES and BILOU need no setting: their prefixes agree, and an entity also begins
    where the type changes. `entities` is a list of `{"start", "end", "type"}` in characters of the text. A line that
    cannot be read refuses its whole sentence. Lines with `-DOCSTART-`, and comments (`# …`) before a sentence, are no
    tokens.
    """

    type: Literal["conll"]
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

    def read_file(self, path: Path) -> Iterator[Rows | Refusal]:
        """Yield batches of sentences and refusals; a place is the number of the sentence's first line.

        Refusals: `invalid-utf8`, `nul-byte`, `missing-tag`, `missing-token`, `unknown-tag`.
        """
        with self.lines(path) as lines:
            sample = islice(self._sentences(lines), _SAMPLE)
            unspaced = is_unspaced([sentence for _, sentence in sample if not isinstance(sentence, Refusal)])
            lines.rewind()
            rows = (
                (place, found if isinstance(found, Refusal) else joined(found, self.joiner, unspaced))
                for place, found in self._sentences(lines)
            )
            yield from batched(
                rows, lambda few: {"text": [text for text, _ in few], "entities": [found for _, found in few]}
            )

    def found(self) -> dict[str, str]:
        """The encoding, as of any text file, and whether tags are of several schemes, by a file's first 20,000 sentences."""
        mixed = next(filter(None, map(self._mixed, self.files())), None)
        return super().found() | ({"mixed tag schemes": mixed} if mixed else {})

    def _mixed(self, path: Path) -> str | None:
        with self.lines(path) as lines:
            return mixed_schemes(
                [(token.prefix, token.type) for token in sentence]
                for _, sentence in islice(self._sentences(lines), _LOOKED_AT)
                if not isinstance(sentence, Refusal)
            )

    def _sentences(self, lines: Lines) -> Iterator[tuple[int, list[Token] | Refusal]]:
        """Give first line and tokens of each sentence, or why it cannot be read."""
        for block in _blocks(lines):
            place = block[0][0]
            tokens: list[Token] = []
            for number, raw in block:
                token = self._token(lines, raw, number, first=not tokens)
                if isinstance(token, Refusal):
                    whole = b"".join(line for _, line in block)
                    yield place, Refusal(place, token.reason, f"line {number}: {token.detail}", whole)
                    break
                if token is not None:
                    tokens.append(token)
            else:
                if tokens:
                    yield place, tokens

    def _token(self, lines: Lines, raw: bytes, number: int, first: bool) -> Token | Refusal | None:
        """Read one line, the first of its sentence or not; None for one that is no token."""
        line = lines.decoded(raw, number)
        if isinstance(line, Refusal):
            return line
        line = line.rstrip()
        columns = line.split("\t") if "\t" in line else re.split(" +", line.strip(" "))
        if columns[0] == "-DOCSTART-":
            return None
        text, tag = _column(columns, self.token), _column(columns, self.tag)
        read = tag_of(tag or "")
        if read is None and first and line.startswith("#"):
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
        if read is None:
            return Refusal(number, "unknown-tag", f"found the tag {tag[:60]!r}, {EXPECTED}", raw)
        return Token(text, *read)


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
