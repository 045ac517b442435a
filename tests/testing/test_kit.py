"""The kit finds what is wrong, kind by kind: each component here breaks one rule, and one check says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hft_core import PluginError
from hft_core.testing import Case, Check, Sample, Unchecked, checks_of

HEAD = '''"""Broken on purpose."""

import itertools
from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from hft_core import *
from hft_core import hookimpl

CALLS = itertools.count()

'''
CASE = Case(
    predictions=[{"label": label, "score": 0.5} for label in "aab"], truths=[{"label": label} for label in "aba"],
    expected={"broken": 1 / 3},
)  # fmt: skip
METRIC = Sample(cases=[CASE])

LIGHT = [
    pytest.param(
        "reader", '''
    def read(self):
        yield Rows({"text": ["a", "b"]}, [1, 1])
''', Sample(records=2), "accounts_for_every_record", "record 1 comes out twice", id="a record twice",
    ),
    pytest.param(
        "reader", '''
    def read(self):
        yield Rows({"text": ["a", "b"], "label": ["x"]}, [1, 2])
''', Sample(), "gives_rows_and_refusals", "equally long", id="columns of two lengths",
    ),
    pytest.param(
        "reader", '''
    def read(self):
        yield Rows({"text": [str(next(CALLS))]}, [1])
''', Sample(), "reads_the_same_again", "something else", id="another source each time",
    ),
    pytest.param(
        "cleaner", '''
    def reasons(self, batches, roles):
        for batch in batches:
            yield [None for text in batch["text"] if text]
            yield []
''', Sample(), "accounts_for_every_row", "answers for", id="more answers than batches",
    ),
    pytest.param(
        "cleaner", '''
    def reasons(self, batches, roles):
        for batch in batches:
            yield ["first" if row == 0 else None for row in range(len(batch["text"]))]
''', Sample(), "keeps_the_same_whatever_the_batches", "depends on how they come", id="by the place in the batch",
    ),
    pytest.param(
        "metric", '''
    def rows(self, predictions, truths, facts):
        return np.array([[float(p["label"] == t["label"]), 1.0] for p, t in zip(predictions, truths)])

    def value(self, statistics, facts):
        return {"broken": float(statistics[0])}
''', METRIC, "matches_hand_made_cases", "broken is 1.0 where 0.333", id="a sum for a mean",
    ),
    pytest.param(
        "metric", '''
    additive: ClassVar[bool] = False

    def rows(self, predictions, truths, facts):
        return np.array([[float(p["label"] == t["label"])] for p, t in zip(predictions, truths)])

    def value(self, statistics, facts):
        return {"broken": float(statistics[0, 0])}
''', METRIC, "does_not_depend_on_order", "another order of rows", id="the first row only",
    ),
    pytest.param(
        "metric", '''
    def rows(self, predictions, truths, facts):
        return np.array([[len(predictions), 1.0] for p in predictions])

    def value(self, statistics, facts):
        return {"broken": 1 / 3}
''', METRIC, "gives_statistics_per_row", "counts otherwise", id="rows that know of each other",
    ),
    pytest.param(
        "metric", '''
    def rows(self, predictions, truths, facts):
        return np.array([[float(p.pop("label") == t["label"]), 1.0] for p, t in zip(predictions, truths)])

    def value(self, statistics, facts):
        return {"broken": float(statistics[0] / statistics[1])}
''', METRIC, "leaves_its_input_alone", "changes what it was given", id="a metric that spoils predictions",
    ),
    pytest.param(
        "schedule", '''
    def decay(self, progress):
        return 2.0
''', Sample(), "stays_between_nothing_and_the_peak", "not a number from 0 to 1", id="above the peak",
    ),
    pytest.param(
        "schedule", '''
    def decay(self, progress):
        return 1 / (1 + next(CALLS))
''', Sample(), "is_a_function_of_the_step", "depends on the steps", id="a schedule that counts",
    ),
    pytest.param(
        "optimizer", '''
    def build(self, groups):
        import torch
        return torch.optim.SGD([p for g in groups for p in g.params], lr=self.lr)
''', Sample(), "has_a_group_for_each", "1 groups were made of 2", id="one group for all",
    ),
    pytest.param(
        "optimizer", '''
    def build(self, groups):
        import torch
        return torch.optim.SGD([{"params": g.params} for g in groups], lr=self.lr, maximize=True)
''', Sample(), "lowers_a_quadratic", "brought the quadratic from", id="uphill",
    ),
    pytest.param(
        "optimizer", '''
    def build(self, groups):
        import torch

        class Forgetful(torch.optim.SGD):
            moves = 0

            def step(self, closure=None):
                self.moves += 1
                for group in self.param_groups:
                    group["lr"] /= self.moves
                super().step()

        return Forgetful([{"params": g.params} for g in groups], lr=self.lr)
''', Sample(), "restores_from_its_state", "goes another way", id="a count beside the state",
    ),
    pytest.param(
        "optimizer", '''
    def untouched(self, lr):
        return 1.0

    def build(self, groups):
        import torch
        return torch.optim.AdamW([{"params": g.params} for g in groups], lr=self.lr, weight_decay=0.5)
''', Sample(), "says_what_it_does_to_untouched_weights", "untouched() says 1.0", id="decay that nobody was told of",
    ),
]  # fmt: skip

HEAVY = [
    pytest.param(
        "objective", '''
    needs_task: ClassVar[bool] = True

    def count(self, batch):
        return len(batch["labels"])

    def loss(self, net, batch):
        from torch.nn.functional import cross_entropy
        inputs = {name: array for name, array in batch.items() if name != "labels"}
        return Loss(cross_entropy(net(**inputs)["logits"], batch["labels"]))
''', Sample(), "adds_up_over_splits", "give a sum, not a mean", id="a mean for a sum",
    ),
    pytest.param(
        "objective", '''
    needs_task: ClassVar[bool] = True

    def count(self, batch):
        return 8

    def loss(self, net, batch):
        inputs = {name: array for name, array in batch.items() if name != "labels"}
        return Loss(net(**inputs)["logits"].sum() * 0)
''', Sample(), "gives_a_sum_that_teaches", "all gradients are 0", id="nothing to learn",
    ),
    pytest.param(
        "technique", '''
    def prepare(self, net, context):
        return {"steps": 0}

    def after_step(self, net, state, step):
        import torch
        state["steps"] += 1
        with torch.no_grad():
            for weight in net.parameters():
                weight.mul_(1 + 0.01 * state["steps"])
''', Sample(), "restores_its_state", "`tensors` has to give all of it", id="a count that no checkpoint has",
    ),
    pytest.param(
        "technique", '''
    def averaged(self, net, state):
        import torch
        from contextlib import nullcontext
        with torch.no_grad():
            for weight in net.parameters():
                weight.mul_(0.5)
        return nullcontext()
''', Sample(), "gives_the_weights_back", "other than it was", id="weights that do not come back",
    ),
    pytest.param(
        "technique", '''
    def groups(self, net, groups):
        return [*groups, groups[0]]
''', Sample(), "keeps_each_weight_in_one_group", "two groups", id="a weight in two groups",
    ),
    pytest.param(
        "exporter", '''
    def export(self, net, run, folder, log):
        (folder / "answers.txt").write_text("pos")
''', Sample(reload=lambda folder: lambda rows: [{"label": "pos", "score": 1.0, "scores": {}} for row in rows]),
        "reloads_and_agrees", "", id="an export that answers otherwise",
    ),
    pytest.param(
        "exporter", '''
    def export(self, net, run, folder, log):
        return None
''', Sample(), "makes_something", "wrote no file", id="an export of nothing",
    ),
]  # fmt: skip

BASES = {"cleaner": "RowFilter"}


@pytest.fixture
def check_of(tmp_path: Path) -> Callable[..., Check]:
    """Give ``check_of(kind, body, sample, name)``: that check of a component with this body."""

    def made(kind: str, body: str, sample: Sample, name: str) -> Check:
        needs = '    needs: ClassVar[frozenset[str]] = frozenset({"label"})\n' if kind == "metric" else ""
        base = BASES.get(kind, kind.capitalize())
        head = f'class Broken({base}):\n    """Broken."""\n\n    type: Literal["broken"]\n'
        hook = f"\n\n@hookimpl\ndef register_{kind}s():\n    return [Broken]\n"
        file = tmp_path / f"broken_{tmp_path.name[-12:].replace('-', '_')}.py"
        file.write_text(HEAD + head + needs + body + hook, encoding="utf-8")
        found: dict[str, Check] = {c.id: c for c in checks_of(file.stem, {"broken": sample}, [file])}
        assert found["is_loaded"]() is None  # type: ignore[func-returns-value]  # it raises where it is not
        return found[f"{kind}/broken:{name}"]

    return made


def finds(check: Check, said: str) -> None:
    with pytest.raises(AssertionError) as failed:
        check()
    assert said in str(failed.value)


@pytest.mark.parametrize(("kind", "body", "sample", "name", "said"), LIGHT)
def test_it_finds(kind: str, body: str, sample: Sample, name: str, said: str, check_of: Callable[..., Check]) -> None:
    finds(check_of(kind, body, sample, name), said)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "body", "sample", "name", "said"), HEAVY)
def test_it_finds_with_a_net(
    kind: str, body: str, sample: Sample, name: str, said: str, check_of: Callable[..., Check]
) -> None:
    finds(check_of(kind, body, sample, name), said)


def test_a_metric_without_cases_is_told_to_have_some(check_of: Callable[..., Check]) -> None:
    finds(check_of("metric", LIGHT[5].values[1], Sample(), "matches_hand_made_cases"), "give a Sample with cases")


def test_what_is_skipped_says_why(check_of: Callable[..., Check]) -> None:
    sample = Sample(skip={"trains_at_all": "a reason"})
    with pytest.raises(Unchecked, match="a reason"):
        check_of("schedule", LIGHT[9].values[1], sample, "trains_at_all")()


def test_every_check_says_what_it_holds() -> None:
    checks = checks_of("metrics", only=["accuracy"])
    assert len({check.id for check in checks}) == len(checks)
    assert all(len(check.summary) > 30 for check in checks)


def test_an_unknown_plugin() -> None:
    with pytest.raises(PluginError, match="there is no plugin 'nothing'"):
        checks_of("nothing")


def test_the_command_tells_and_counts(hft: Callable[..., Any]) -> None:
    outcome = hft("plugins", "check", "nothing")
    assert outcome.code == 4
    assert "there is no plugin 'nothing'" in outcome.err


@pytest.mark.parametrize(
    ("source", "said"),
    [("raise ValueError('no')", "ValueError: no"), ("SAMPLES = ['x']", "has to be a dict from type to Sample")],
)
def test_samples_that_cannot_be_used(
    source: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: Callable[[Path], Path]
) -> None:
    name = f"samples_of_{tmp_path.name[-10:].replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
    (tmp_path / f"{name}_plugin.py").write_text("", encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(
        f'[project]\nname = "hft-odd"\nversion = "1"\n[project.entry-points.hft]\nodd = "{name}_plugin"\n'
        f'[project.entry-points."hft.samples"]\nodd = "{name}:SAMPLES"\n',
        encoding="utf-8",
    )
    installed(tmp_path)
    with pytest.raises(PluginError, match="the samples of plugin odd") as failed:
        checks_of("odd")
    assert said in str(failed.value)
