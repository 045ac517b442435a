"""Checks of exporters."""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hft_core.components import Finished, Metric, Passage, Prediction, Section
from hft_core.testing.subject import HEAD, Subject, Unchecked

if TYPE_CHECKING:
    from hft_core.components.net import Net


class _Exported(NamedTuple):
    """What an exporter made."""

    folders: tuple[tempfile.TemporaryDirectory[str], ...]
    """What was written, and the model that it was made of."""
    section: Section | None
    run: Finished
    before: list[Prediction]


def makes_something(subject: Subject) -> None:
    """It writes files, or gives a section for the report, whose data is plain JSON; nothing is refused."""
    made = _exported(subject)
    files = [file for file in Path(made.folders[0].name).rglob("*") if file.is_file()]
    assert files or made.section, "it wrote no file and gave no section for the report"
    if made.section is not None:
        assert isinstance(made.section, Section), (
            f"export() gives a Section or None, found {type(made.section).__name__}"
        )
        assert made.section.title, "the section has no title"
        json.dumps([made.section.data, list(made.section.table)])
        assert not made.section.refused, f"it refuses to write: {made.section.refused[0]}"
        assert not made.section.svg or made.section.svg.lstrip().startswith("<svg"), "`svg` has to be one svg element"
        for passage in made.section.passages:
            _marks_fit(passage)


def _marks_fit(passage: Passage) -> None:
    behind = 0
    for mark in passage.marks:
        assert behind <= mark.start < mark.end <= len(passage.text), (
            f"{mark} in a passage of {len(passage.text)} characters: marks are in order, and overlap neither each other nor "
            "the text's end"
        )
        assert -1 <= mark.weight <= 1, f"{mark}: a weight is from -1 to 1"
        behind = mark.end


def reloads_and_agrees(subject: Subject) -> None:
    """What it wrote is read again, and predicts the sample's rows as the net does; see `Sample.reload`."""
    made = _exported(subject)
    folder = Path(made.folders[0].name)
    if subject.sample.reload is not None:
        predict = subject.sample.reload(folder)
    elif (folder / "bundle.json").is_file():
        from hft_core.runtime import load

        predict = load(folder).predict
    else:
        raise Unchecked("nothing says how to read what it wrote: give a Sample with `reload`")
    names = list(made.run.validation)
    rows = [dict(zip(names, values, strict=True)) for values in zip(*made.run.validation.values(), strict=True)]
    from hft_core.runtime import agreement

    for row, one, other in zip(rows, made.before, predict(rows), strict=True):
        found = {key: value for key, value in other.items() if key in one}
        assert found.keys() == one.keys(), f"an answer lacks {', '.join(sorted(one.keys() - found.keys()))}"
        assert agreement.drift(one, found) <= 1e-3, f"for {row} the net says {one}, and what was written {found}"


def leaves_the_net_alone(subject: Subject) -> None:
    """The net answers after the export as it did before."""
    made = _exported(subject)
    assert made.before == _predict(made.run), "the net answers otherwise after the export"


def _exported(subject: Subject) -> _Exported:
    return _made(_Held(subject))


class _Held:
    """A subject as a key: the same one is exported once."""

    def __init__(self, subject: Subject):
        self.subject = subject

    def __hash__(self) -> int:
        return id(self.subject)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Held) and other.subject is self.subject


@cache
def _made(held: _Held) -> _Exported:
    subject = held.subject
    net = subject.net().eval()
    start, out = (tempfile.TemporaryDirectory(prefix="hft-check-") for _ in range(2))
    run = _finished(subject, net, Path(start.name))
    before = _predict(run)
    section = subject.make().export(net, run, Path(out.name), lambda text: None)
    return _Exported((out, start), section, run, before)


def _finished(subject: Subject, net: Net, folder: Path) -> Finished:
    from hft_core.training.inference import torch_call

    net.save(folder)
    subject.preprocessor.save(folder)
    metrics: list[Metric] = [subject.entry(Metric.kind, settings) for settings in subject.task.default_metrics]
    return Finished(
        name="sample", head=HEAD, task=subject.task, facts=subject.facts, model=subject.model,
        preprocessor=subject.preprocessor, cleaners=[], validation=subject.rows(), metrics=metrics,
        call=torch_call(net, HEAD), folder=folder, card={"seed": 0},
    )  # fmt: skip


def _predict(run: Finished) -> list[Any]:
    from hft_core.runtime.driver import predict

    return predict(run.task, run.validation, run.preprocessor, run.facts, run.call).predictions


CHECKS = (makes_something, reloads_and_agrees, leaves_the_net_alone)
