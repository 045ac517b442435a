"""Text cleaners and row filters on the rows of a split, counted in its ledger."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hft_core.components import Cleaner, Columns, Component, Roles, RowFilter, TextCleaner
from hft_core.data.ledger import Ledger
from hft_core.data.table import read_table, write_table
from hft_core.errors import PluginError
from hft_core.runtime.edits import Edit, OffsetMap, apply


def clean_texts(
    batches: Iterable[Columns], cleaners: Sequence[Cleaner], roles: Roles, ledger: Ledger, drop_empty: bool
) -> Iterator[Columns]:
    """Repair the text columns; spans move with the edits of the first one. With `drop_empty`, rows without text go."""
    repairs = [cleaner for cleaner in cleaners if isinstance(cleaner, TextCleaner)]
    for batch in batches:
        columns = dict(batch)
        touched: dict[str, set[int]] = {}
        for cleaner in repairs:
            for position, name in enumerate((*roles.text, *roles.target_texts)):
                edits = cleaner.edits(columns[name])
                rows = touched.setdefault(cleaner.type_name(), set())
                columns = edited(columns, name, edits, roles if position == 0 else None, cleaner)
                rows.update(index for index, found in enumerate(edits) if found)
                for index in list(rows)[:3]:
                    ledger.example(cleaner.type_name(), str(batch[name][index]), columns[name][index])
        for name, changed in touched.items():
            ledger.touched[name] += len(changed)
        if drop_empty:
            columns = _without_empty(columns, roles, ledger)
        if columns[roles.text[0]]:
            yield columns


def edited(
    columns: Columns, name: str, edits: Sequence[Sequence[Edit]], roles: Roles | None, author: Component
) -> Columns:
    """Apply each row's edits to one text column; with `roles`, carry the span columns along.

    Raises PluginError, naming the component that made them, for edits that overlap or leave the text.
    """
    texts = columns[name]
    require_one_each(edits, texts, author)
    try:
        return _edited(columns, name, texts, edits, roles)
    except (ValueError, TypeError) as error:
        raise PluginError(f"{author.kind} {author.type_name()!r} gave edits that do not fit: {error}") from error


def require_one_each(edits: Sequence[Sequence[Edit]], texts: Sequence[str], author: Component) -> None:
    """Raise PluginError, naming the component, unless it gave one list of edits per text."""
    found = ""
    if not isinstance(edits, list | tuple):
        found = type(edits).__name__
    elif len(edits) != len(texts):
        found = f"{len(edits)} lists for {len(texts)} texts"
    elif not all(isinstance(own, list | tuple) for own in edits):
        found = next(type(own).__name__ for own in edits if not isinstance(own, list | tuple)) + " for a text"
    if found:
        raise PluginError(
            f"{author.kind} {author.type_name()!r} gave edits that do not fit: {found}; it must give one list of edits per "
            "text, an empty one where nothing changes"
        )


def _edited(
    columns: Columns, name: str, texts: list[str], edits: Sequence[Sequence[Edit]], roles: Roles | None
) -> Columns:
    changed = {index for index, found in enumerate(edits) if found}
    result = dict(columns)
    result[name] = [apply(text, edits[index]) if index in changed else text for index, text in enumerate(texts)]
    for span_column in roles.spans if roles else ():
        result[span_column] = [
            _moved(spans, OffsetMap(texts[index], edits[index])) if index in changed else spans
            for index, spans in enumerate(columns[span_column])
        ]
    return result


def _moved(spans: Iterable[Any], offsets: OffsetMap) -> list[Any]:
    return [_at(span, *offsets.forward(*borders(span))) for span in spans]


def borders(span: Any) -> tuple[int, int]:
    """Start and end of a span, which is ``{"start": …, "end": …, …}`` or ``[start, end, …]``."""
    return (span["start"], span["end"]) if isinstance(span, Mapping) else (span[0], span[1])


def _at(span: Any, start: int, end: int) -> Any:
    """The span with other borders."""
    return {**span, "start": start, "end": end} if isinstance(span, Mapping) else [start, end, *span[2:]]


def _without_empty(columns: Columns, roles: Roles, ledger: Ledger) -> Columns:
    full = [index for index, text in enumerate(columns[roles.text[0]]) if text.strip()]
    if missing := len(columns[roles.text[0]]) - len(full):
        ledger.dropped["empty-after-cleaning"] += missing
    return {name: [values[index] for index in full] for name, values in columns.items()} if missing else columns


def filter_rows(path: Path, cleaners: Sequence[Cleaner], roles: Roles, ledger: Ledger) -> None:
    """Apply the row filters, in order, to the rows of an Arrow file, in place."""
    for cleaner in cleaners:
        if not isinstance(cleaner, RowFilter):
            continue
        aside = path.with_suffix(".filtered")
        write_table(aside, _kept(path, cleaner, roles, ledger))
        path.unlink(missing_ok=True)
        if aside.is_file():
            aside.rename(path)


def _kept(path: Path, cleaner: RowFilter, roles: Roles, ledger: Ledger) -> Iterator[Columns]:
    reasons = cleaner.reasons(read_table(path), roles)
    for columns, codes in zip(read_table(path), reasons, strict=True):
        ledger.dropped.update(f"{cleaner.type_name()}: {code}" for code in codes if code)
        for index in [index for index, code in enumerate(codes) if code][:3]:
            ledger.example(cleaner.type_name(), " ".join(str(columns[name][index]) for name in roles.text), "")
        kept = [index for index, code in enumerate(codes) if code is None]
        if kept:
            yield {name: [values[index] for index in kept] for name, values in columns.items()}
