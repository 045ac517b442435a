"""`hft predict`: answers for texts or rows, from an exported bundle. Imports neither pydantic nor torch."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from hft_core.cli.answers import writer
from hft_core.cli.options import session_options
from hft_core.cli.progress import progress
from hft_core.cli.rows import Bad, File, Form, Row, kind_of, parsed, standard_input
from hft_core.errors import DataError, DiskError, RecipeError
from hft_core.runtime import ERROR

if TYPE_CHECKING:
    from hft_core.runtime.bundle import Bundle

_BLOCK = 256
"""Rows of standard input that are answered at once."""
_FILE_BLOCK = 1024
"""Rows of a file that are answered at once: among more there are more of one length, so less padding."""
_SHOWN = 20


@click.command("predict")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("texts", nargs=-1, metavar="[TEXT]…")
@click.option("--file", type=click.Path(path_type=Path), help="Rows: .csv, .tsv, .jsonl, else one text per line.")
@click.option(
    "--rows",
    "kind",
    type=click.Choice(["csv", "jsonl", "text"]),
    help="What --file or standard input holds; default: what the file's name says, text for -.",
)
@click.option(
    "--columns", metavar="A,B,…", help="Names of the columns of a CSV without a header: its first line is a row."
)
@click.option(
    "--format", "form", type=click.Choice(["jsonl", "csv", "table"]), help="Default: jsonl (csv if --out is)."
)
@click.option("--precision", help="One of the bundle's precisions; default: its first.")
@session_options
@click.option("--out", type=click.Path(path_type=Path), help="Write here instead of to the terminal.")
def command(
    bundle: Path,
    texts: tuple[str, ...],
    file: Path | None,
    kind: str | None,
    columns: str | None,
    form: str | None,
    precision: str | None,
    threads: int | None,
    providers: tuple[str, ...],
    out: Path | None,
) -> None:
    """Predict with BUNDLE (or a run's folder): for each TEXT, for the rows of --file, or of - (standard input).

    A model that reads several columns, such as context and question, takes as many TEXTs for each row, in their order.
    Each answer begins with its text; other columns of a row are carried through. A row that cannot be answered gives an
    object with `error` in its place, the others are answered, and the exit code is 3.
    """
    if bool(texts) == bool(file):
        alone = (
            "" if texts or os.path.isdir(bundle) else f"; {str(bundle)!r:.80} was taken for the bundle, and comes first"
        )
        raise RecipeError(
            f'hft predict needs either texts ("…", or - for rows from standard input) or --file behind the bundle{alone}'
        )
    if file and out and out.exists() and out.samefile(file):
        raise RecipeError(f"--out is the file that is read, {file}; write elsewhere")

    from hft_core.runtime import load

    for text in texts:
        if os.path.isfile(text):  # which takes a text that is too long for a name
            click.echo(
                f"note: {text} is taken as a text, and is a file here; its rows are answered with --file", err=True
            )
    kind = _kind(texts, file, kind, columns)
    opened = load(bundle, precision=precision, threads=threads, providers=providers)
    header = [name.strip() for name in columns.split(",")] if columns else []
    rows, block = _source(texts, file, Form(kind, [*opened.text, *opened.inputs], header))
    failed, count = _Failed(), 0
    with _opened(out) as stream, progress(rows if sys.stderr.isatty() and not stream.isatty() else None) as shown:
        answers = writer(form or ("csv" if out and out.suffix.lower() == ".csv" else "jsonl"), stream)
        for answered in _answered(opened, iter(rows), block, failed):
            answers.write(answered)
            shown(len(answered))
            count += len(answered)
        answers.close()
    if out:
        click.echo(f"{out}: {count} row{'s' * (count != 1)}", err=True)
    failed.require_none()


@dataclass
class _Failed:
    """Rows that could not be answered: how many, and why for the first of them."""

    count: int = 0
    reasons: list[str] = field(default_factory=list)

    def add(self, reason: str) -> None:
        self.count += 1
        if len(self.reasons) < _SHOWN:
            self.reasons.append(reason)

    def require_none(self) -> None:
        """Raises DataError where there are some."""
        if self.count:
            more = f"\n  … and {self.count - _SHOWN} more" if self.count > _SHOWN else ""
            listed = "\n  ".join(self.reasons) + more
            raise DataError(f"{self.count} row{'s' if self.count > 1 else ''} could not be answered:\n  {listed}")


def _kind(texts: tuple[str, ...], file: Path | None, kind: str | None, columns: str | None) -> str:
    """What the rows are written as. Raises RecipeError for options that say nothing about them."""
    if kind and not file and texts != ("-",):
        raise RecipeError("--rows says what --file or standard input (-) holds; texts on the command line need none")
    kind = kind or (kind_of(file) if file else "text")
    if columns is not None and kind != "csv":
        raise RecipeError("--columns names the columns of a CSV; add --rows csv")
    return kind


def _source(texts: tuple[str, ...], file: Path | None, form: Form) -> tuple[Iterable[Row | Bad], int]:
    """Give the rows, and how many to answer at once: from a keyboard one by one."""
    if file:
        return File(file, form), _FILE_BLOCK
    if texts == ("-",):
        return parsed(standard_input(), form, "standard input"), 1 if sys.stdin.isatty() else _BLOCK
    return _rows_of(texts, form.read), _BLOCK


def _rows_of(texts: Sequence[str], columns: Sequence[str]) -> list[Row]:
    """Give the rows of texts that were typed: one a text or, where there are several columns, one for so many texts.

    Raises RecipeError where they do not come out even.
    """
    width = len(columns)
    if width == 1:
        return [Row(place, text) for place, text in enumerate(texts, 1)]
    if len(texts) % width:
        raise RecipeError(
            f"this model reads {width} texts a row, {', '.join(columns)}, in this order; {len(texts)} cannot be divided into "
            "such rows. Give as many for each, or rows with --file"
        )
    begins = range(0, len(texts), width)
    return [
        Row(place, dict(zip(columns, texts[begin : begin + width], strict=True)))
        for place, begin in enumerate(begins, 1)
    ]


def _answered(bundle: Bundle, rows: Iterator[Row | Bad], size: int, failed: _Failed) -> Iterator[list[dict[str, Any]]]:
    """Answer block by block; rows that cannot be answered are added to `failed`."""
    while block := list(islice(rows, size)):
        predictions = iter(bundle.predict([row.value for row in block if isinstance(row, Row)], keep_going=True))
        answers = []
        for row in block:
            prediction = {ERROR: row.reason} if isinstance(row, Bad) else next(predictions)
            if ERROR in prediction:
                failed.add(f"line {row.place}: {prediction[ERROR]}")
                answers.append(prediction | {"line": row.place})
            elif isinstance(row, Row):
                answers.append(_with_text(row.value, prediction, [*bundle.text, *bundle.optional]))
        yield answers


def _with_text(value: Any, prediction: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """Put what was asked before the answer, so that a person sees which is whose."""
    texts = {names[0]: value} if isinstance(value, str) else {name: value[name] for name in names if name in value}
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
