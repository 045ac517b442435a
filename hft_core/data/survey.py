"""What the rows of a split look like: lengths, classes, languages, and rows that somebody should look at."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypedDict

import numpy as np

from hft_core.components import Columns, Roles
from hft_core.data.languages import detect_languages
from hft_core.data.table import ROW
from hft_core.errors import PluginError

_LANGUAGE_ROWS = 1_000
"""Rows whose language is looked at: the first ones of each batch in turn."""
_SURE = 0.9
"""Probability of a language from which it is counted."""
_EXAMPLES = 3
_BINS = 24

_LATIN_TAIL = "\x80-\xbf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ"
SUSPICIONS: dict[str, tuple[str, str, re.Pattern[str]]] = {
    "mojibake": (
        "text that was read in a wrong encoding",
        "The cleaners unicode and mojibake repair it.",
        re.compile(f"[ÂÃâð][{_LATIN_TAIL}]|[Ðð][{_LATIN_TAIL}][ÐÑ]|ï»¿|鈥|锛[屼侊涚燂]|銆[傘]"),
    ),
    "replacement-character": (
        "�, what is left of a character that nobody could read",
        "Read the original again, in its encoding.",
        re.compile("\ufffd"),
    ),
    "invisible": (
        "control or zero-width characters",
        "The cleaner unicode removes them.",
        re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\ufeff]"),
    ),
    "html": (
        "tags or entities of HTML",
        "The cleaner html removes them.",
        re.compile(
            r"</?(?:a|b|br|div|em|font|i|img|li|ol|p|span|strong|sub|sup|table|td|th|tr|u|ul|h[1-6])\b[^<>]*>"
            r"|&(?:amp|lt|gt|quot|nbsp|apos|#\d{2,5}|#x[0-9a-f]{2,5});",
            re.IGNORECASE,
        ),
    ),
    "broken-escape": (
        r"what is left of an escape, such as `#39;` or `\n`",
        "Repair what wrote the file, or read the original again.",
        re.compile(
            r"(?<!&)#\d{2,4};|(?<![\w&])(?:quot|amp|lt|gt) ?;|\\[nrt](?![a-z])|\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}"
        ),
    ),
    "no-letters": (
        "neither letter nor digit",
        "The cleaner symbols drops them, if they mean nothing.",
        re.compile(r"\A(?:[\W_])+\Z"),
    ),
    "one-character-repeated": (
        "hardly more than one character or pair, repeated",
        "The cleaner repetition drops longer ones.",
        re.compile(r"\A.{0,8}?(.{1,2}?)\1{9,}.{0,8}\Z", re.DOTALL),
    ),
}
"""By code: what such rows are rows with, what to do, and how their text is told."""


_WORTH_A_LOOK = re.compile(
    "[<&#;\\\\\ufffd\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\ufeffÂÃâðÐï鈥锛銆]"
    r"|\b(?:quot|amp|lt|gt) |(.)\1{4}|(..)\2{4}",
    re.DOTALL,
)
"""What a text has that one of `SUSPICIONS` with a sign in it finds; nearly all texts have none of it."""
_WORD = re.compile(r"[^\W_]")
_MOST_LABELS = 50


class Suspicion(TypedDict):
    """Rows of one kind that somebody should look at."""

    rows: int
    examples: list[str]
    """A few, each `line N: text`."""


class Survey(TypedDict):
    """What a split looks like; plain JSON."""

    rows: int
    lengths: dict[str, float]
    """`minimum`, `median`, `mean`, `p95` and `maximum`, in characters of all texts of a row."""
    histogram: list[tuple[float, float]]
    """Curve of lengths: middle of a bin in characters, share of the rows; bins grow with the length."""
    balance: dict[str, int]
    """Rows by label, or entities by type; the most frequent first, at most 50. Of train those rows that cleaning leaves."""
    languages: dict[str, float]
    """Share of the rows by language (ISO 639-1), of a sample; `und` where it is uncertain. Empty without py3langid."""
    suspicious: dict[str, Suspicion]
    """By a code of `SUSPICIONS`, or `header-as-row`, `bad-offset`."""


def survey(batches: Iterable[Columns], roles: Roles) -> Survey:
    """Look at each row once, in batches; memory does not grow with texts (4 bytes a row)."""
    lengths: list[np.ndarray[Any, np.dtype[np.int32]]] = []
    labels: Counter[str] = Counter()
    suspicious: dict[str, Suspicion] = {}
    sample: list[str] = []
    for columns in batches:
        texts = joined_texts(columns, roles)
        lengths.append(np.fromiter(map(len, texts), np.int32, len(texts)))
        sample += texts[: max(0, min(_LANGUAGE_ROWS - len(sample), _LANGUAGE_ROWS // 4))]
        labels.update(_labels_of(columns, roles))
        for index, code in _suspects(columns, texts, roles):
            found = suspicious.setdefault(code, {"rows": 0, "examples": []})
            found["rows"] += 1
            if len(found["examples"]) < _EXAMPLES:
                found["examples"].append(f"line {columns[ROW][index]}: {texts[index][:200]}")
    sizes = np.concatenate(lengths) if lengths else np.zeros(0, np.int32)
    return {
        "rows": len(sizes),
        "lengths": _summary(sizes),
        "histogram": _histogram(sizes),
        "balance": dict(labels.most_common(_MOST_LABELS)),
        "languages": _languages(sample),
        "suspicious": suspicious,
    }


def joined_texts(columns: Columns, roles: Roles, by: str = " ") -> list[str]:
    """All texts of each row in one, with `by` between them."""
    if len(roles.text) == 1:
        return ["" if value is None else str(value) for value in columns[roles.text[0]]]
    rows = zip(*(columns[name] for name in roles.text), strict=True)
    return [by.join("" if value is None else str(value) for value in row) for row in rows]


def balance(batches: Iterable[Columns], roles: Roles) -> dict[str, int]:
    """Count rows by label, as `Survey.balance` has them."""
    counts: Counter[str] = Counter()
    for columns in batches:
        counts.update(_labels_of(columns, roles))
    return dict(counts.most_common(_MOST_LABELS))


def _labels_of(columns: Columns, roles: Roles) -> Iterator[str]:
    """Give the label of each row, or all of them, or the types of its entities; nothing for rows without any."""
    for value in (value for name in roles.target if name in columns for value in columns[name]):
        if not isinstance(value, list):
            yield str(value)[:100]
        for part in value if isinstance(value, list) else ():
            if isinstance(part, Mapping) and "type" in part:
                yield str(part["type"])
            elif isinstance(part, str):  # several labels
                yield part


def _suspects(columns: Columns, texts: list[str], roles: Roles) -> Iterator[tuple[int, str]]:
    """Give the rows that somebody should look at, each with the reason's code."""
    names = {name.strip().casefold() for name in columns}
    for index, text in enumerate(texts):
        if _WORTH_A_LOOK.search(text) or not _WORD.search(text):
            for code, (_, _, pattern) in SUSPICIONS.items():
                if pattern.search(text):
                    yield index, code
        elif len(text) < 100 and text.strip().casefold() in names and _is_header(columns, roles, index):
            yield index, "header-as-row"
    for name in roles.spans:
        for index, spans in enumerate(columns[name]):
            if any(not _stands(span, str(columns[roles.text[0]][index])) for span in spans or ()):
                yield index, "bad-offset"


def _is_header(columns: Columns, roles: Roles, index: int) -> bool:
    """Whether a row repeats the names of its columns."""
    return all(
        str(columns[name][index]).strip().casefold() == name.strip().casefold()
        for name in (*roles.text, *roles.target)
        if name in columns
    )


def _stands(span: Any, text: str) -> bool:
    """Whether a span lies in its text and, where it says what stands there, says so rightly."""
    start, end, said = (
        (span["start"], span["end"], span.get("text")) if isinstance(span, Mapping) else (*span[:2], None)
    )
    return 0 <= start < end <= len(text) and (said is None or text[start:end] == said)


def _summary(sizes: np.ndarray[Any, np.dtype[np.int32]]) -> dict[str, float]:
    if not len(sizes):
        return {}
    median, high = np.percentile(sizes, [50, 95])
    return {
        "minimum": int(sizes.min()),
        "median": float(median),
        "mean": round(float(sizes.mean()), 1),
        "p95": float(high),
        "maximum": int(sizes.max()),
    }


def _histogram(sizes: np.ndarray[Any, np.dtype[np.int32]]) -> list[tuple[float, float]]:
    if not len(sizes):
        return []
    top = max(float(np.percentile(sizes, 99)), 1.0)
    edges = np.unique(np.linspace(0, top, _BINS + 1).round())
    counts, _ = np.histogram(np.minimum(sizes, top), np.append(edges[:-1], edges[-1] + 0.5))
    return [
        (float(left + right) / 2, float(count) / len(sizes))
        for left, right, count in zip(edges[:-1], edges[1:], counts, strict=True)
    ]


def _languages(texts: list[str]) -> dict[str, float]:
    try:
        detected = detect_languages(text[:500] for text in texts)
        found = Counter(language if probability >= _SURE else "und" for language, probability in detected)
    except PluginError:
        return {}
    return {language: count / len(texts) for language, count in found.most_common(8)}
