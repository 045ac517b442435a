"""Checks of cleaners: repairs of text, and filters of rows."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module

from hft_core.components import Columns, RowFilter, TextCleaner
from hft_core.runtime.edits import checked
from hft_core.testing.subject import Subject, Unchecked, untouched

NOT_AT_PREDICT_TIME = ("pydantic", "rich", "click", "pluggy", "ruamel", "torch", "transformers", "pandas", "datasets")


def edits_fit_their_texts(subject: Subject) -> None:
    """A text cleaner gives one list of edits per text; they lie within the text and do not overlap."""
    texts = list(subject.sample.texts)
    found = _text_cleaner(subject).edits(texts)
    assert len(found) == len(texts), f"it gave {len(found)} lists of edits for {len(texts)} texts"
    for text, edits in zip(texts, found, strict=True):
        checked(text, edits)


def edits_depend_on_the_text_alone(subject: Subject) -> None:
    """A text's edits are the same when it stands alone, and when it is cleaned again."""
    cleaner, texts = _text_cleaner(subject), list(subject.sample.texts)
    together = cleaner.edits(texts)
    assert together == cleaner.edits(texts), "the same texts have other edits the second time"
    for text, edits in zip(texts, together, strict=True):
        assert cleaner.edits([text])[0] == edits, f"{text!r} has other edits when it stands alone"


def runs_without_the_engine(subject: Subject) -> None:
    """The module `runtime` imports neither pydantic nor torch, and its settings are JSON: it runs where bundles do."""
    cleaner = _text_cleaner(subject)
    json.dumps(cleaner.settings())
    assert hasattr(import_module(cleaner.runtime), "edits"), f"{cleaner.runtime} has no function `edits`"
    runs_light(cleaner.runtime)


def accounts_for_every_row(subject: Subject) -> None:
    """A row filter gives one entry for each row of each batch: None, or a short reason."""
    cleaner, rows = _row_filter(subject), subject.rows()
    batches = list(_batches(rows, 3))
    found = list(cleaner.reasons(iter(batches), subject.task.roles()))
    assert len(found) == len(batches), f"it gave {len(found)} answers for {len(batches)} batches"
    for batch, reasons in zip(batches, found, strict=True):
        count = len(next(iter(batch.values())))
        assert len(reasons) == count, f"it gave {len(reasons)} entries for a batch of {count} rows"
        for reason in reasons:
            assert reason is None or (isinstance(reason, str) and reason), (
                f"a reason is None or a text, found {reason!r}"
            )


def keeps_the_same_whatever_the_batches(subject: Subject) -> None:
    """A row filter drops the same rows of one batch and of several, and again the second time."""
    cleaner = _row_filter(subject)
    found = [_reasons(subject, cleaner, size) for size in (1, 3, 1000, 1000)]
    assert all(reasons == found[0] for reasons in found), "which rows it drops depends on how they come in batches"


def leaves_its_input_alone(subject: Subject) -> None:
    """It changes neither the texts nor the rows that it is given."""
    cleaner, rows, texts = subject.make(), subject.rows(), list(subject.sample.texts)
    with untouched(rows, texts):
        if isinstance(cleaner, TextCleaner):
            cleaner.edits(texts)
        else:
            list(cleaner.reasons(iter([rows]), subject.task.roles()))


def runs_light(module: str) -> None:
    """Raise AssertionError where importing a runtime module imports what is not there at predict time."""
    needed = [package.partition(".")[0] for package in getattr(import_module(module), "REQUIRES", ())]
    blocked = tuple(package for package in NOT_AT_PREDICT_TIME if package not in needed)
    program = f"""
import sys
sys.path[:] = {[entry for entry in sys.path if entry]!r}
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ImportError(f"{{name}} must not be imported at predict time")
sys.meta_path.insert(0, Blocker())
import {module}
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"importing {module} alone fails: {done.stderr.strip().splitlines()[-1]}"


def outcome(subject: Subject) -> object:
    """What it does to the sample, for a comparison with another process."""
    cleaner = subject.make()
    if isinstance(cleaner, TextCleaner):
        return cleaner.edits(list(subject.sample.texts))
    return _reasons(subject, cleaner, 3)


def _reasons(subject: Subject, cleaner: RowFilter, size: int) -> list[str | None]:
    answers = cleaner.reasons(_batches(subject.rows(), size), subject.task.roles())
    return [reason for reasons in answers for reason in reasons]


def _batches(columns: Columns, size: int) -> Iterator[Columns]:
    count = len(next(iter(columns.values())))
    for start in range(0, count, size):
        yield {name: values[start : start + size] for name, values in columns.items()}


def _text_cleaner(subject: Subject) -> TextCleaner:
    made = subject.make()
    if not isinstance(made, TextCleaner):
        raise Unchecked("for text cleaners only")
    return made


def _row_filter(subject: Subject) -> RowFilter:
    made = subject.make()
    if not isinstance(made, RowFilter):
        raise Unchecked("for row filters only")
    return made


TEXT_CHECKS = (edits_fit_their_texts, edits_depend_on_the_text_alone, runs_without_the_engine)
ROW_CHECKS = (accounts_for_every_row, keeps_the_same_whatever_the_batches)
CHECKS = (*TEXT_CHECKS, *ROW_CHECKS, leaves_its_input_alone)


def applies(subject_class: type, check: object) -> bool:
    """Whether a check is one of this sort of cleaner."""
    other = ROW_CHECKS if issubclass(subject_class, TextCleaner) else TEXT_CHECKS
    return check not in other
