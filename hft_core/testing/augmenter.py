"""Checks of augmenters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from hft_core.components import Augmenter, Columns, Editor, HeadSpec, Roles, TextBatch, Training
from hft_core.data.augmentation import Making
from hft_core.data.table import ROW
from hft_core.runtime.edits import Edit, checked
from hft_core.runtime.randomness import RowRandom
from hft_core.testing.subject import Subject, untouched

_TRIES = 20
"""How often chance may decide that nothing changes."""


def edits_fit_their_texts(subject: Subject) -> None:
    """It gives one list of edits per text; they lie within the text and do not overlap."""
    texts = _texts(subject)
    found = _edits(subject, _editor(subject), texts)
    assert isinstance(found, list), (
        f"edits have to be a list with a list of Edit per text, found {type(found).__name__}"
    )
    assert len(found) == len(texts), f"it gave {len(found)} lists of edits for {len(texts)} texts"
    for text, edits in zip(texts, found, strict=True):
        assert all(isinstance(edit, Edit) for edit in edits), (
            f"edits have to be Edit(start, end, replacement): {edits!r}"
        )
        checked(text, edits)


def changes_something(subject: Subject) -> None:
    """Of the sample's texts it changes one at least, in one of twenty copies."""
    editor, texts = _editor(subject), _texts(subject)
    for copy in range(_TRIES):
        for text, edits in zip(texts, _edits(subject, editor, texts, key=copy), strict=True):
            if any(text[edit.start : edit.end] != edit.replacement for edit in edits):
                return
    raise AssertionError(
        f"it changes none of {len(texts)} texts in {_TRIES} copies; give it a Sample(texts=…) that fits"
    )


def is_the_same_under_a_seed(subject: Subject) -> None:
    """The same seed gives the same edits, from the same component and from a new one: chance comes from `random` alone."""
    editor, texts = _editor(subject), _texts(subject)
    for key in range(3):
        first = _edits(subject, editor, texts, key)
        assert first == _edits(subject, editor, texts, key), "the same seed gives other edits the second time"
        assert first == _edits(subject, _editor(subject), texts, key), (
            "a new instance gives other edits with the same seed"
        )


def is_independent_of_the_batch(subject: Subject) -> None:
    """A row's edits are the same whatever rows stand beside it, and in whatever order."""
    editor, texts = _editor(subject), _texts(subject)
    together = _edits(subject, editor, texts)
    for row, text in enumerate(texts):
        alone = _edits(subject, editor, [text], rows=[row])
        assert alone[0] == together[row], f"{text!r} has other edits when it stands alone; use `random` row by row"
    order = list(range(len(texts)))[::-1]
    turned = _edits(subject, editor, [texts[row] for row in order], rows=order)
    assert turned[::-1] == together, "edits depend on the order of the rows in a batch"


def respects_spans(subject: Subject) -> None:
    """Protected stretches come out as they were, at the place where the engine says that they are now."""
    augmenter: Augmenter = subject.make()
    columns, roles = _with_spans(subject)
    making = Making(augmenter, augmenter.editor(training(subject)), 0)
    before = [[text[s["start"] : s["end"]] for s in spans] for text, spans in zip(*_two(columns), strict=True)]
    for copy in range(_TRIES):
        made, _ = making.variant(columns, roles, seed=0, copy=copy)
        for row, text, spans in zip(made[ROW], *_two(made), strict=True):
            after = [text[span["start"] : span["end"]] for span in spans]
            if augmenter.replaces_spans:
                assert all(after), f"a protected stretch is gone: {before[row]} has become {after} in {text!r}"
            else:
                assert after == before[row], f"the protected {before[row]} has become {after} in {text!r}"


def leaves_its_input_alone(subject: Subject) -> None:
    """It changes neither the texts, nor their spans, nor the rows that it is given."""
    columns, _ = _with_spans(subject)
    texts, spans = list(columns["text"]), [[(span["start"], span["end"]) for span in row] for row in columns["spans"]]
    editor = _editor(subject)
    with untouched(texts, spans, columns):
        editor(TextBatch(texts, spans, columns), RowRandom(key=0, rows=np.arange(len(texts))))


def outcome(subject: Subject) -> object:
    """Its edits, for a comparison with another process."""
    return _edits(subject, _editor(subject), _texts(subject))


def training(subject: Subject) -> Training:
    """What it may learn from: the sample's rows."""
    rows: Callable[[], Iterator[Columns]] = lambda: iter([subject.rows()])  # noqa: E731  # two lines would say no more
    label = "label" if "label" in subject.sample.columns else None
    net = (lambda heads: _net(subject, heads)) if subject.cls.reads_model else None  # type: ignore[attr-defined]  # an Augmenter
    return Training(rows=rows, roles=subject.task.roles(), label=label, net=net)


def _net(subject: Subject, heads: Mapping[str, HeadSpec]) -> tuple[Any, Any]:
    import torch

    torch.manual_seed(0)
    return subject.model.build(subject.model.locate(), subject.preprocessor, heads).eval(), subject.preprocessor


def _editor(subject: Subject) -> Editor:
    made: Augmenter = subject.make()
    return made.editor(training(subject))


def _texts(subject: Subject) -> list[str]:
    return list(subject.sample.texts)


def _edits(
    subject: Subject, editor: Editor, texts: list[str], key: int = 0, rows: list[int] | None = None
) -> list[list[Edit]]:
    """The edits of texts that stand in these rows; other columns are those of the sample, as far as they go."""
    numbers = np.arange(len(texts)) if rows is None else np.array(rows)
    length = len(next(iter(subject.rows().values())))
    columns = {name: [values[row % length] for row in numbers] for name, values in subject.rows().items()}
    first = subject.task.roles().text[0]
    spans: list[list[tuple[int, int]]] = [[] for _ in texts]
    return editor(TextBatch(texts, spans, columns | {first: texts}), RowRandom(key=key, rows=numbers))


def _with_spans(subject: Subject) -> tuple[Columns, Roles]:
    """The sample's texts, a word or two in the middle of each protected."""
    texts = [text for text in subject.sample.texts if len(text) > 5]
    spans = [[{"start": len(text) // 3, "end": len(text) // 2, "type": "x"}] for text in texts]
    roles = Roles(text=("text",), spans=("spans",), protected=("spans",))
    own: Columns = {"text": texts, "spans": spans, ROW: list(range(len(texts)))}
    length = len(next(iter(subject.rows().values())))
    rest = {name: [values[row % length] for row in own[ROW]] for name, values in subject.rows().items()}
    return rest | own, roles


def _two(columns: Columns) -> tuple[list[Any], list[Any]]:
    return columns["text"], columns["spans"]


CHECKS = (
    edits_fit_their_texts,
    changes_something,
    is_the_same_under_a_seed,
    is_independent_of_the_batch,
    respects_spans,
    leaves_its_input_alone,
)
