"""`hft predict`: answers for texts or rows, from an exported bundle. Imports neither pydantic nor torch."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from hft_core.cli.answers import ERROR, writer
from hft_core.cli.rows import Bad, Row, from_file, from_lines, standard_input
from hft_core.errors import DataError, DiskError, RecipeError

if TYPE_CHECKING:
    from hft_core.runtime.bundle import Bundle

_BLOCK = 256
_SHOWN = 20


@click.command("predict")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("texts", nargs=-1, metavar="[TEXT]…")
@click.option("--file", type=click.Path(path_type=Path), help="Rows: .csv, .tsv, .jsonl, else one text per line.")
@click.option(
    "--format", "form", type=click.Choice(["jsonl", "csv", "table"]), help="Default: jsonl (csv if --out is)."
)
@click.option("--precision", help="One of the bundle's precisions; default: its first.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads; default: the physical cores.")
@click.option("--out", type=click.Path(path_type=Path), help="Write here instead of to the terminal.")
def command(
    bundle: Path,
    texts: tuple[str, ...],
    file: Path | None,
    form: str | None,
    precision: str | None,
    threads: int | None,
    out: Path | None,
) -> None:
    """Predict with BUNDLE (or a run's folder): for each TEXT, for the rows of --file, or for lines from - (stdin).

    Each answer begins with its text; other columns of a row are carried through. A row that cannot be answered gives an
    object with `error` in its place, the others are answered, and the exit code is 3.
    """
    if bool(texts) == bool(file):
        raise RecipeError('hft predict needs either texts ("…", or - for lines from standard input) or --file')

    from hft_core.runtime import load

    opened = load(bundle, precision=precision, threads=threads)
    rows, block = _source(texts, file, [*opened.text, *opened.inputs])
    bad: list[str] = []
    with _opened(out) as stream:
        answers = writer(form or ("csv" if out and out.suffix.lower() == ".csv" else "jsonl"), stream)
        for answered in _answered(opened, rows, block, bad):
            answers.write(answered)
        answers.close()
    if bad:
        listed = "\n  ".join(bad[:_SHOWN]) + (f"\n  … and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else "")
        raise DataError(f"{len(bad)} row{'s' if len(bad) > 1 else ''} could not be answered:\n  {listed}")


def _source(texts: tuple[str, ...], file: Path | None, columns: list[str]) -> tuple[Iterator[Row | Bad], int]:
    """Give the rows, and how many to answer at once: from a keyboard one by one."""
    if file:
        return from_file(file, columns), _BLOCK
    if texts == ("-",):
        return from_lines(standard_input()), 1 if sys.stdin.isatty() else _BLOCK
    return iter([Row(place, text) for place, text in enumerate(texts, 1)]), _BLOCK


def _answered(bundle: Bundle, rows: Iterator[Row | Bad], size: int, bad: list[str]) -> Iterator[list[dict[str, Any]]]:
    """Answer block by block; reasons of rows that cannot be answered are appended to `bad`."""
    while block := list(islice(rows, size)):
        reasons = [row.reason if isinstance(row, Bad) else bundle.refusal(row.value) for row in block]
        good = [row.value for row in block if isinstance(row, Row) and bundle.refusal(row.value) is None]
        predictions = bundle.stream(good)
        answers = []
        for row, reason in zip(block, reasons, strict=True):
            if reason is not None:
                bad.append(f"line {row.place}: {reason}")
            if reason is None and isinstance(row, Row):
                answers.append(_with_text(row.value, next(predictions), bundle.text))
            else:
                answers.append({ERROR: reason, "line": row.place})
        yield answers


def _with_text(value: Any, prediction: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """Put what was asked before the answer, so that a person sees which is whose."""
    texts = dict.fromkeys(names, value) if isinstance(value, str) else {name: value[name] for name in names}
    return {(f"input_{name}" if name in prediction else name): text for name, text in texts.items()} | prediction


@contextmanager
def _opened(out: Path | None) -> Iterator[IO[str]]:
    """Give the output as UTF-8; a lone surrogate, which UTF-8 lacks, is written as JSON escapes it."""
    if out is None:
        if isinstance(sys.stdout, TextIOWrapper):  # not in a notebook
            sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
        yield sys.stdout
        return
    try:
        with out.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as stream:
            yield stream
    except OSError as error:
        raise DiskError(f"{out} cannot be written: {error.strerror}; give another --out") from error
