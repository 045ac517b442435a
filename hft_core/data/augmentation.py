"""Variants of training rows: each augmenter makes its own copies of the originals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hft_core.components import Augmenter, Columns, Roles
from hft_core.data.cleaning import borders, edited, require_one_each
from hft_core.data.ledger import Ledger
from hft_core.data.table import ROW, VARIANT, read_table, write_table
from hft_core.runtime.edits import Edit, touches
from hft_core.runtime.randomness import RowRandom, key_of


def augment_split(
    source: Path, augmenters: Sequence[Augmenter], roles: Roles, seed: int, target: Path
) -> dict[str, Any]:
    """Write the rows of an Arrow file with their variants into another; gives `made` and `examples` by augmenter."""
    ledger = Ledger()
    ledger.made.update(dict.fromkeys((augmenter.type_name() for augmenter in augmenters), 0))
    write_table(target, with_variants(read_table(source), augmenters, roles, seed, ledger))
    return {"made": dict(ledger.made), "examples": ledger.examples}


def with_variants(
    batches: Iterable[Columns], augmenters: Sequence[Augmenter], roles: Roles, seed: int, ledger: Ledger
) -> Iterator[Columns]:
    """Yield each batch as variant 0, then its variants 1, 2, …; a text that nothing changes has no variant."""
    for batch in batches:
        count = len(batch[ROW])
        yield batch | {VARIANT: [0] * count}
        variant = 0
        for position, augmenter in enumerate(augmenters):
            for copy in range(augmenter.copies):
                variant += 1
                columns, changed = _one_variant(batch, augmenter, roles, key_of(seed, "augment", position, copy))
                if not changed:
                    continue
                name = augmenter.type_name()
                ledger.made[name] += len(changed)
                first = roles.text[0]
                ledger.example(name, batch[first][changed[0]], columns[first][changed[0]])
                made = {column: [values[index] for index in changed] for column, values in columns.items()}
                yield made | {VARIANT: [variant] * len(changed)}


def _one_variant(batch: Columns, augmenter: Augmenter, roles: Roles, key: int) -> tuple[Columns, list[int]]:
    columns = batch
    changed: set[int] = set()
    for position, name in enumerate(roles.text):
        texts = batch[name]
        spans = _protected(batch, roles, len(texts)) if position == 0 else [[] for _ in texts]
        random = RowRandom(key_of(key, name), np.array(batch[ROW], np.int64))
        found_edits = augmenter.edits(texts, spans, random)
        require_one_each(found_edits, texts, augmenter)
        edits = [_allowed(found, row_spans) for found, row_spans in zip(found_edits, spans, strict=True)]
        columns = edited(columns, name, edits, roles if position == 0 else None, augmenter)
        changed |= {index for index, found in enumerate(edits) if found and columns[name][index].strip()}
    return columns, sorted(changed)


def _protected(batch: Columns, roles: Roles, count: int) -> list[list[tuple[int, int]]]:
    return [[borders(span) for name in roles.protected for span in batch[name][index]] for index in range(count)]


def _allowed(edits: Sequence[Edit], spans: Sequence[tuple[int, int]]) -> list[Edit]:
    """Refuse edits that touch a protected span, whatever the augmenter thinks."""
    return [edit for edit in edits if not any(touches(edit, span) for span in spans)] if spans else list(edits)
