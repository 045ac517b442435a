"""Variants of training rows: each augmenter makes its own copies of the originals."""

from __future__ import annotations

import gc
import re
import signal
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hft_core.components import Augmenter, Columns, Editor, Roles, TextBatch, Training
from hft_core.data.cleaning import borders, edited, require_one_each
from hft_core.data.ledger import Ledger
from hft_core.data.table import ROW, VARIANT, as_array, read_table, write_table
from hft_core.runtime.edits import Edit, touches
from hft_core.runtime.randomness import RowRandom, key_of

_MARKED = re.compile(r"<<.*?>>|\[\[.*?\]\]", re.DOTALL)
"""What relation markers enclose; it stays as it is, the markers included."""

Judge = Callable[[Columns], list[str]]
"""Predicts a label for each row of a batch, of originals and of variants alike."""


@dataclass
class Making:
    """An augmenter at work."""

    augmenter: Augmenter
    editor: Editor
    position: int
    """Among the recipe's augmenters."""
    judge: Judge | None = None

    def variant(
        self, batch: Columns, roles: Roles, seed: int, copy: int, epoch: int | None = None
    ) -> tuple[Columns, int]:
        """Give the columns of the rows that change in this copy, and how many variants the check dropped.

        A function of seed, row, copy and, where it is given, the epoch, whatever else is in the batch.
        """
        key = key_of(seed, "augment", self.position, copy, *([] if epoch is None else [epoch]))
        with _uncollected():
            columns, changed = _edited_rows(batch, self.augmenter, self.editor, roles, key)
        kept = changed
        if self.judge and changed:
            before, after = self.judge(_rows(batch, changed)), self.judge(_rows(columns, changed))
            kept = [index for index, one, other in zip(changed, before, after, strict=True) if one == other]
        return _rows(columns, kept), len(changed) - len(kept)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Let no garbage be looked for: tens of thousands of edits, none of them garbage, would set it off again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _Made(NamedTuple):
    """One copy of a batch by one augmenter."""

    making: int
    columns: dict[str, Any]
    """Lists or, from another process, Arrow arrays."""
    dropped: int


def augment_split(
    source: Path,
    augmenters: Sequence[Augmenter],
    roles: Roles,
    seed: int,
    target: Path,
    training: Training | None = None,
    judge_of: Callable[[Augmenter], Judge | None] = lambda augmenter: None,
    workers: int = 0,
) -> dict[str, Any]:
    """Write the rows of an Arrow file with their variants into another.

    Args:
        source: the training rows.
        augmenters: each makes its copies of the originals.
        roles: which columns play which part.
        seed: the recipe's.
        target: the file to write.
        training: what augmenters may learn from; default: the rows of `source`.
        judge_of: gives what an augmenter's `check` asks for.
        workers: processes that make variants, where no augmenter has a model; 0: this one does.

    Returns:
        `made` and `examples` by augmenter, and `checked` where variants were.
    """
    training = training or Training(lambda: read_table(source), roles)
    makings = begun(augmenters, training, judge_of)
    ledger = Ledger()
    ledger.made.update(dict.fromkeys((augmenter.type_name() for augmenter in augmenters), 0))
    dropped: Counter[str] = Counter()
    if not all(augmenter.lexical for augmenter in augmenters):
        workers = 0  # a model that has computed does not survive a fork
    made = _made(read_table(source), makings, roles, seed, workers)
    write_table(target, _counted(made, makings, roles, ledger, dropped))
    checked = {
        making.augmenter.type_name(): {
            "compared": ledger.made[making.augmenter.type_name()] + dropped[making.augmenter.type_name()],
            "dropped": dropped[making.augmenter.type_name()],
        }
        for making in makings
        if making.judge
    }
    return {"made": dict(ledger.made), "examples": ledger.examples, "checked": checked}


def begun(
    augmenters: Sequence[Augmenter],
    training: Training,
    judge_of: Callable[[Augmenter], Judge | None] = lambda augmenter: None,
) -> list[Making]:
    """Let each augmenter learn what it needs."""
    return [
        Making(augmenter, augmenter.editor(training), position, judge_of(augmenter))
        for position, augmenter in enumerate(augmenters)
    ]


def with_variants(
    batches: Iterable[Columns],
    augmenters: Sequence[Augmenter],
    roles: Roles,
    seed: int,
    ledger: Ledger,
    training: Training | None = None,
) -> Iterator[Columns]:
    """Yield each batch as variant 0, then its variants 1, 2, …; a text that nothing changes has no variant."""
    makings = begun(augmenters, training or Training(roles=roles))
    return _counted(_made(batches, makings, roles, seed, 0), makings, roles, ledger, Counter())


def _made(
    batches: Iterable[Columns], makings: Sequence[Making], roles: Roles, seed: int, workers: int
) -> Iterator[tuple[Columns, list[_Made]]]:
    """Give each batch with all its copies, in order, made here or by other processes."""
    if workers < 2:
        for batch in batches:
            yield batch, _copies(batch, makings, roles, seed)
        return
    waiting: deque[tuple[Columns, Any]] = deque()  # a few: what is ahead of the writer lies in memory
    # Editors are closures over their tables: a fork has them, a fresh process would have to learn them again.
    with get_context("fork").Pool(workers, _remember, (makings, roles, seed)) as pool:
        for batch in batches:
            waiting.append((batch, pool.apply_async(_remembered, (batch,))))
            if len(waiting) > 2 * workers:
                done, copies = waiting.popleft()
                yield done, copies.get()
        for done, copies in waiting:
            yield done, copies.get()
        pool.close()
        pool.join()


_AT_WORK: tuple[Sequence[Making], Roles, int]


def _remember(makings: Sequence[Making], roles: Roles, seed: int) -> None:
    # The run's own handlers note a request to stop, and are inherited; here SIGTERM ends, and a Ctrl-C is the parent's.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    global _AT_WORK
    _AT_WORK = (makings, roles, seed)


def _remembered(batch: Columns) -> list[_Made]:
    """Make the copies of a batch as Arrow arrays, which cost next to nothing to hand over."""
    return [
        made._replace(columns={name: as_array(values) for name, values in made.columns.items()})
        for made in _copies(batch, *_AT_WORK)
    ]


def _copies(batch: Columns, makings: Sequence[Making], roles: Roles, seed: int) -> list[_Made]:
    return [
        _Made(number, *making.variant(batch, roles, seed, copy))
        for number, making in enumerate(makings)
        for copy in range(making.augmenter.copies)
    ]


def _counted(
    made: Iterable[tuple[Columns, list[_Made]]],
    makings: Sequence[Making],
    roles: Roles,
    ledger: Ledger,
    dropped: Counter[str],
) -> Iterator[Columns]:
    first = roles.text[0]
    for batch, copies in made:
        yield batch | {VARIANT: [0] * len(batch[ROW])}
        texts = dict(zip(batch[ROW], batch[first], strict=True))
        for variant, (number, columns, refused) in enumerate(copies, 1):
            name = makings[number].augmenter.type_name()
            dropped[name] += refused
            if rows := len(columns[ROW]):
                row, text = (
                    column[0] if isinstance(column, list) else column[0].as_py()
                    for column in (columns[ROW], columns[first])
                )
                ledger.made[name] += rows
                ledger.example(name, texts[row], text)
                yield columns | {VARIANT: [variant] * rows}


def _rows(columns: Columns, indices: Sequence[int]) -> Columns:
    return {name: [values[index] for index in indices] for name, values in columns.items()}


def _edited_rows(
    batch: Columns, augmenter: Augmenter, editor: Editor, roles: Roles, key: int
) -> tuple[Columns, list[int]]:
    """Give the batch as edited, and which of its rows changed and still have text."""
    columns = batch
    changed: set[int] = set()
    for position, name in enumerate(roles.text):
        texts = batch[name]
        first = position == 0
        spans = _protected(batch, name, roles if first else None)
        random = RowRandom(key_of(key, name), np.array(batch[ROW], np.int64))
        found = editor(TextBatch(texts, spans, batch, first), random)
        require_one_each(found, texts, augmenter)
        edits = [
            _allowed(own, row_spans, augmenter.replaces_spans) if row_spans else own
            for own, row_spans in zip(found, spans, strict=True)
        ]
        columns = edited(columns, name, edits, roles if first else None, augmenter)
        changed |= {index for index, own in enumerate(edits) if own and columns[name][index].strip()}
    return columns, sorted(changed)


def _protected(batch: Columns, name: str, roles: Roles | None) -> list[list[tuple[int, int]]]:
    """The stretches of each text that no edit may touch: between relation markers, and those of the task's spans."""
    spans = [[match.span() for match in _MARKED.finditer(text)] if _may_mark(text) else [] for text in batch[name]]
    for column in roles.protected if roles else ():
        for own, found in zip(spans, batch[column], strict=True):
            own += [borders(span) for span in found]
    return spans


def _may_mark(text: str) -> bool:
    return "<<" in text or "[[" in text


def _allowed(edits: Sequence[Edit], spans: Sequence[tuple[int, int]], whole: bool) -> list[Edit]:
    """Refuse edits that touch a protected span, whatever the augmenter thinks; with `whole`, it may replace it all."""
    return [
        edit
        for edit in edits
        if not any(
            touches(edit, span) and not (whole and span == (edit.start, edit.end) and edit.replacement.strip())
            for span in spans
        )
    ]
