"""Checks of tasks."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

import numpy as np

from hft_core.components import Columns, Objective, Task
from hft_core.testing.cleaner import runs_light
from hft_core.testing.subject import HEAD, Subject, digest, entries, untouched


def names_columns_that_are_there(subject: Subject) -> None:
    """Bound to rows, the columns of its roles are among theirs."""
    roles = subject.task.roles()
    named = {*roles.text, *roles.inputs, *roles.target, *roles.spans}
    assert roles.text or roles.inputs, "roles() names no column that the model reads"
    missing = named - set(subject.rows())
    assert not missing, f"roles() names {', '.join(sorted(missing))}, and the sample has {', '.join(subject.rows())}"
    assert set(roles.protected) <= set(roles.spans), "`protected` has to be some of `spans`"


def judges_every_row(subject: Subject) -> None:
    """`refusals` gives one entry per row, None for good rows; the sample's are good."""
    found = subject.task.refusals(subject.rows())
    count = _rows(subject.rows())
    assert len(found) == count, f"refusals() gave {len(found)} entries for {count} rows"
    assert not any(found), f"it refuses a row of the sample: {next(filter(None, found))}"


def learns_plain_facts(subject: Subject) -> None:
    """`learn` gives plain JSON, the same from one batch and from several."""
    columns = subject.rows()
    facts = subject.facts
    again = json.loads(json.dumps(facts))
    assert again == facts, f"facts have to be plain JSON; they are read as {again}"
    half = _rows(columns) // 2
    parts = [{name: values[piece] for name, values in columns.items()} for piece in (slice(half), slice(half, None))]
    assert digest(subject.task.learn(parts)) == digest(facts), "what it learns depends on how the rows come in batches"


def encodes_each_row_for_itself(subject: Subject) -> None:
    """`encode` gives, again and for a row alone, the same arrays; `row`, where it is there, says whose an entry is."""
    task, columns = subject.task, subject.rows()
    with untouched(columns):
        arrays = task.encode(columns, subject.preprocessor, subject.facts)
    count = entries(arrays)
    assert digest(arrays) == digest(task.encode(columns, subject.preprocessor, subject.facts)), (
        "encoding differs each time"
    )
    row: Any = arrays.get("row", np.arange(count))
    assert row.dtype == np.int64, f"`row` has to be int64, found {row.dtype}"
    for index in range(min(3, _rows(columns))):
        alone = task.encode({n: v[index : index + 1] for n, v in columns.items()}, subject.preprocessor, subject.facts)
        for name, array in alone.items():
            if name != "row":
                own = [arrays[name][int(entry)] for entry in np.flatnonzero(row == index)]
                same = len(own) == len(array) and all(np.array_equal(a, array[i]) for i, a in enumerate(own))
                assert same, f"row {index} has another `{name}` when it is encoded alone"


def answers_every_row(subject: Subject) -> None:
    """From rows to predictions with a new net: one per row, plain JSON, with the keys of `gives`."""
    from hft_core.training.inference import infer

    task, columns = subject.task, subject.rows()
    net = subject.net()
    with untouched(columns):
        found = infer(net, HEAD, task, columns, subject.preprocessor, subject.facts).predictions
    json.dumps(found)
    for prediction in found:
        missing = task.gives - prediction.keys()
        assert not missing, f"a prediction lacks {', '.join(sorted(missing))}, which `gives` names: {prediction}"
    alone = infer(
        net, HEAD, task, {n: v[:1] for n, v in columns.items()}, subject.preprocessor, subject.facts
    ).predictions
    assert alone[0].keys() == found[0].keys(), "a row has another form of answer when it stands alone"


def has_truths_to_compare_with(subject: Subject) -> None:
    """`truths` gives one target per row, with keys that predictions have too."""
    found = subject.task.truths(subject.rows(), subject.facts)
    assert len(found) == _rows(subject.rows()), f"truths() gave {len(found)} targets for as many rows"
    json.dumps(found)
    for truth in found:
        assert isinstance(truth, dict), f"a target is a prediction, found {truth!r}"


def has_its_objective(subject: Subject) -> None:
    """The objective that it names is installed, and trains such a task."""
    task: Task = subject.task
    cls = subject.registry.classes(Objective.kind).get(task.objective)
    assert cls is not None, subject.registry.explain_missing(Objective.kind, task.objective)
    needs: frozenset[str] = cls.needs  # type: ignore[attr-defined]  # an Objective's
    assert needs <= task.gives, (
        f"{task.objective} needs {', '.join(sorted(needs - task.gives))}, which the task does not give"
    )
    task.targets(subject.rows(), task.encode(subject.rows(), subject.preprocessor, subject.facts), subject.facts)


def runs_without_the_engine(subject: Subject) -> None:
    """The module `runtime` has `encode` and `decode`, and imports neither pydantic nor torch: it runs where bundles do."""
    module = import_module(subject.task.runtime)
    for name in ("encode", "decode"):
        assert hasattr(module, name), f"{subject.task.runtime} has no function `{name}`"
    json.dumps(subject.task.settings())
    runs_light(subject.task.runtime)


def _rows(columns: Columns) -> int:
    return len(next(iter(columns.values())))


CHECKS = (
    names_columns_that_are_there,
    judges_every_row,
    learns_plain_facts,
    encodes_each_row_for_itself,
    answers_every_row,
    has_truths_to_compare_with,
    has_its_objective,
    runs_without_the_engine,
)
