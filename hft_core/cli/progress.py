"""How far a long `hft predict` has come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from hft_core.cli.rows import File


@contextmanager
def progress(rows: Iterable[Any] | None) -> Iterator[Callable[[int], None]]:
    """Give a function to call with each number of rows that were answered.

    It draws a bar on standard error: for a File by the bytes that were read, else the count. None: nothing is drawn.
    """
    if rows is None:
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    total = rows.bytes or None if isinstance(rows, File) else None  # a pipe has no size
    shape = (TextColumn("{task.fields[rows]:,} rows"), BarColumn(), TimeRemainingColumn())
    with Progress(*shape, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total, rows=0)
        done = 0

        def advance(count: int) -> None:
            nonlocal done
            done += count
            bar.update(task, rows=done, completed=rows.position if isinstance(rows, File) and total else done)

        yield advance
