"""Filter of rows by language."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar, Literal

from pydantic import Field

from hft_core import Columns, Roles, RowFilter, detect_languages, joined_texts


class LanguageFilter(RowFilter):
    """Drops rows in another language than those wanted (reason `language-CODE`), by py3langid (extra `clean`).

    A text is dropped only where the other language is likely: of short texts few are. A text without letters stays.
    """

    type: Literal["language"]
    keep: list[str] = Field(min_length=1)
    """Languages that stay, as codes of ISO 639-1, such as `[en, zh]`."""
    confidence: float = Field(default=0.8, gt=0, le=1)
    """Probability of the other language from which a row goes."""
    minimum: int = Field(default=10, ge=1)
    """Letters of the shortest text that is judged; a Chinese, Japanese or Korean character counts as three."""

    packages: ClassVar[tuple[str, ...]] = ("py3langid",)

    def reasons(self, batches: Iterable[Columns], roles: Roles) -> Iterator[list[str | None]]:
        """Give a reason or None for each row, batch by batch."""
        for batch in batches:
            judged = [text if _letters(text) >= self.minimum else "" for text in joined_texts(batch, roles)]
            yield [
                f"language-{language}"
                if language not in (*self.keep, "und") and probability >= self.confidence
                else None
                for language, probability in detect_languages(judged)
            ]


def _letters(text: str) -> int:
    return sum((3 if "\u3040" <= character <= "\ud7a3" else 1) for character in text if character.isalpha())
