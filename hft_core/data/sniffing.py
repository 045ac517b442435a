"""What a file of data probably is: which reader takes it, whether it has a header, and which columns are text and label."""

from __future__ import annotations

import csv
import gzip
import lzma
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hft_core.components import Columns, Roles
from hft_core.errors import DataError

_LOOKED_AT = 1 << 16  # bytes
_TAGGED = re.compile(r"\S.*[ \t](?:O|[BIMELSUW]-\S+)\s*")
_BY_ENDING = {
    "jsonl": "jsonl", "ndjson": "jsonl", "parquet": "parquet", "conll": "conll", "bio": "conll", "iob": "conll",
    "bmes": "conll", "bioes": "conll",
}  # fmt: skip
_LABELS = (
    "label", "labels", "class", "category", "target", "sentiment", "intent", "topic", "gold_label", "stars", "rating",
    "polarity", "y", "标签", "类别", "标注", "標籤", "類別", "標註",
)  # fmt: skip
_MOST_CLASSES = 200


def settings_of(path: Path) -> dict[str, Any]:
    """Give settings of a reader for a file: its `type` and `path` and, of a table without a header, `header: false`.

    Raises DataError where the file cannot be opened.
    """
    name, head = _opened(path)
    ending = name.rsplit(".", 1)[-1].lower()
    settings: dict[str, Any] = {"path": str(path)}
    if ending in _BY_ENDING:
        return {"type": _BY_ENDING[ending], **settings}
    lines = [line for line in head.splitlines() if line.strip()]
    first = lines[0].lstrip("\ufeff ") if lines else ""
    if first.startswith("{") or ending == "json":
        return {"type": "squad" if '"paragraphs"' in head else "jsonl", **settings}
    if ending in ("csv", "tsv", "tab") or _is_table(lines):
        delimiter = "\t" if "\t" in first and ending != "csv" else None
        own = {"type": "csv", **settings} | ({"delimiter": delimiter} if delimiter else {})
        return own if _has_header(lines, delimiter) else own | {"header": False}
    if len(lines) > 1 and sum(bool(_TAGGED.fullmatch(line)) for line in lines[:-1]) > 0.8 * len(lines[:-1]):
        return {"type": "conll", **settings}
    return {"type": "text", **settings}


def _opened(path: Path) -> tuple[str, str]:
    """Give the name without the ending of a compression, and the beginning of the text."""
    if path.is_dir():
        raise DataError(f"{path} is a folder; name files in it, or NAME={{type: dataset, path: {path}}} for a data set")
    try:
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                inner = next(item for item in archive.namelist() if not item.endswith("/") and "__MACOSX" not in item)
                with archive.open(inner) as member:
                    return inner, _text(member.read(_LOOKED_AT))
        opener: Any = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rb") as file:
            return path.name.removesuffix(".gz"), _text(file.read(_LOOKED_AT))
    except StopIteration:
        raise DataError(f"{path}: the archive is empty; get the file again, or name another one") from None
    except (zipfile.BadZipFile, gzip.BadGzipFile, EOFError, zlib.error, lzma.LZMAError, RuntimeError) as error:
        raise DataError(f"{path}: the archive cannot be unpacked ({error}); get the file again") from error
    except OSError as error:
        raise DataError(f"{path} cannot be opened: {error.strerror or error}; correct the path") from error


def _text(head: bytes) -> str:
    """The beginning of a file, as far as its signs go: letters of another encoding only have to stay different."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return head.decode("utf-16", "replace")
    return head.decode("utf-8-sig", "surrogateescape")


def _is_table(lines: Sequence[str]) -> bool:
    """Whether all lines have the same number of tabs, one at least, and are no tokens with tags."""
    tabs = Counter(line.count("\t") for line in lines[:-1] or lines)
    tagged = sum(bool(_TAGGED.fullmatch(line)) for line in lines[:200]) > 0.8 * len(lines[:200])
    return (
        bool(tabs) and not tagged and tabs.most_common(1)[0][0] > 0 and tabs.most_common(1)[0][1] > 0.9 * tabs.total()
    )


def _has_header(lines: Sequence[str], delimiter: str | None) -> bool:
    """Whether the first line looks like names: short, different, no numbers, and none a value further below."""
    if not lines:
        return True
    divider = delimiter or max(",;\t|", key=lines[0].count)
    records = [record for record in csv.reader(lines[:50], delimiter=divider) if record]
    names = [name.strip() for name in records[0]]
    if len(set(names)) < len(names) or any(len(name) > 40 or name.count(" ") > 2 for name in names):
        return False
    if any(re.fullmatch(r"[-+]?[\d.,]+", name) for name in names):
        return False
    rows = [record for record in records[1:] if record != records[0]]  # files put behind one another repeat it
    below = {(position, value.strip()) for record in rows for position, value in enumerate(record)}
    return not any((position, name) in below for position, name in enumerate(names) if name)


def roles_of(sample: Columns, text: Sequence[str] = (), label: str | None = None) -> Roles:
    """Say which columns hold the text and the label; `text` and `label` are the user's, where they are given.

    Lists of `{"start": …, "end": …}` are spans and target. A label is a column with a usual name, or one with few
    different short values. Texts are the other columns of strings that mostly differ from row to row. Raises DataError
    where a column is missing, or no column holds text.
    """
    for name in (*text, *([label] if label else [])):
        if name not in sample:
            raise DataError(f"the data has no column {name!r}; its columns are {', '.join(sample)}")
    spans = [name for name, values in sample.items() if _holds_spans(values)]
    target = label or (None if spans else _label(sample, text))
    chosen = list(text) or _texts(sample, [name for name in (target, *spans) if name])
    if not chosen:
        raise DataError(
            f"no column holds text; the columns are {', '.join(sample)}. Name one with --text; lists of tokens "
            "and tags are read by way of a recipe with their task (hft inspect recipe.yaml)"
        )
    if spans and not label:
        ours = [name for name in spans if name != "answers"] or spans
        chosen = ["context", "question"] if {"context", "question"} <= set(chosen) and not text else chosen
        return Roles(text=tuple(chosen), target=tuple(ours[:1]), spans=tuple(spans))
    return Roles(text=tuple(chosen), target=(target,) if target else (), spans=tuple(spans))


def _holds_spans(values: Sequence[Any]) -> bool:
    found = [part for value in values if isinstance(value, list) for part in value]
    return bool(found) and all(isinstance(part, dict) and {"start", "end"} <= set(part) for part in found)


def _label(sample: Columns, taken: Sequence[str]) -> str | None:
    for name in _LABELS:
        for column in sample:
            if column.casefold() == name and column not in taken and len(sample) > 1:
                return column
    for column, values in sample.items():
        known = [value for value in values if value is not None]
        if column in taken or len(sample) == 1 or not all(isinstance(value, (str, int, bool)) for value in known):
            continue
        different = {str(value) for value in known}
        short = all(len(value) <= 40 for value in different)
        if short and 1 < len(different) <= min(_MOST_CLASSES, max(2, len(known) // 5)):
            return column
    return None


def _texts(sample: Columns, taken: Sequence[str]) -> list[str]:
    """Columns of strings whose values mostly differ and are longer than a word, or the longest one."""
    strings = {
        name: [value for value in values if isinstance(value, str)]
        for name, values in sample.items()
        if name not in taken
    }
    strings = {name: values for name, values in strings.items() if values}
    found = [
        name
        for name, values in strings.items()
        if name.casefold() not in ("id", "guid", "uuid", "idx")
        and len(set(values)) > 0.5 * len(values)
        and sum(map(len, values)) > 8 * len(values)
    ]
    if found or not strings:
        if "context" in strings and "question" in strings:
            return ["context", "question"]
        return found
    return [max(strings, key=lambda name: sum(map(len, strings[name])))]
