"""Techniques change what they say, and nothing else; their state survives a crash."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from hft_core import RecipeError
from hft_core.training.loop import train
from hft_core.training.module import parameter_groups
from hft_plugins.techniques.ema import EMA
from hft_plugins.techniques.freeze import Freeze
from hft_plugins.techniques.layerwise_decay import LayerwiseDecay
from hft_plugins.techniques.swa import SWA


def weights(net: Any) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in net.named_parameters()}


class Recorder(EMA):
    """An average that notes the weights after each step."""

    def prepare(self, net: Any, context: Any) -> Any:
        return {"average": super().prepare(net, context), "seen": [weights(net)]}

    def after_step(self, net: Any, state: Any, step: int) -> None:
        super().after_step(net, state["average"], step)
        state["seen"].append(weights(net))
        Recorder.seen = state["seen"]  # type: ignore[attr-defined]  # for the test to look at

    def averaged(self, net: Any, state: Any) -> Any:
        return super().averaged(net, state["average"])

    def tensors(self, state: Any) -> Any:
        return super().tensors(state["average"])


def test_the_stage_ends_with_the_average_of_its_steps(bert: Any, make_rows: Any) -> None:
    decay = 0.7
    job = bert.job(
        (bert.objective("classification"), make_rows(64)), techniques=[Recorder(type="ema", decay=decay)], epochs=2
    )
    result = train(job)
    expected = Recorder.seen[0]  # type: ignore[attr-defined]  # set above
    for step, seen in enumerate(Recorder.seen[1:], 1):  # type: ignore[attr-defined]  # set above
        kept = min(decay, (1 + step) / (10 + step))
        expected = {name: kept * value + (1 - kept) * seen[name] for name, value in expected.items()}
    assert len(Recorder.seen) == 9  # type: ignore[attr-defined]  # 64 rows, 16 a step, twice, and the start
    for name, value in result.net.named_parameters():
        torch.testing.assert_close(value.detach(), expected[name], rtol=1e-5, atol=1e-6)
    moved = [name for name, value in Recorder.seen[-1].items() if not torch.equal(value, expected[name])]  # type: ignore[attr-defined]
    assert moved, "the average is not just the last weights"


def test_averaging_does_not_change_training(bert: Any, make_rows: Any) -> None:
    parts = (bert.objective("classification"), make_rows(48))
    plain = train(bert.job(parts))
    train(bert.job(parts, techniques=[Recorder(type="ema")], validation=make_rows(110, seed=4)))
    for name, value in plain.net.named_parameters():
        assert torch.equal(value, Recorder.seen[-1][name]), name  # type: ignore[attr-defined]  # set above


def test_the_average_survives_a_crash(bert: Any, make_rows: Any, survives: Any) -> None:
    def made(work: Path) -> Any:
        parts = (bert.objective("classification"), make_rows(64))
        return bert.job(parts, work=work, techniques=[EMA(type="ema", decay=0.9)], checkpoint_minutes=0)

    survives(made, 3)


def test_layers_learn_slower_towards_the_input(bert: Any) -> None:
    net = bert.model.build(bert.start, bert.preprocessor, {"main": bert.task.head(bert.facts)})
    groups = LayerwiseDecay(type="layerwise-decay", rate=0.5).groups(net, parameter_groups(net))
    scale_of = {name: group.lr_scale for group in groups for name in group.names}
    assert sorted(scale_of) == sorted(name for name, _ in net.named_parameters()), "each parameter once"
    assert {value for name, value in scale_of.items() if "classifier" in name} == {1.0}
    assert {value for name, value in scale_of.items() if "layer.1." in name} == {0.5}
    assert {value for name, value in scale_of.items() if "layer.0." in name} == {0.25}
    assert {value for name, value in scale_of.items() if "embeddings" in name} == {0.125}
    assert {group.decay for group in groups} == {True, False}


def test_a_scaled_group_takes_scaled_steps(bert: Any, make_rows: Any) -> None:
    start = bert.weights()
    moves = []
    for techniques in ([], [LayerwiseDecay(type="layerwise-decay", rate=0.5)]):
        parts = (bert.objective("classification"), make_rows(16))
        moves.append(weights(train(bert.job(parts, techniques=techniques)).net))
    name = next(name for name in start if name.endswith("word_embeddings.weight"))
    whole, scaled = moves[0][name] - start[name], moves[1][name] - start[name]
    torch.testing.assert_close(scaled, whole * 0.125, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize(
    ("rate", "frozen"), [(1.0, ["embeddings"]), (0.9, ["embeddings", "layer"])], ids=["rate 1", "heads alone"]
)
def test_a_decay_that_changes_no_rate_is_refused(bert: Any, make_rows: Any, rate: float, frozen: list[str]) -> None:
    parts = (bert.objective("classification"), make_rows(16))
    techniques = [Freeze(type="freeze", parts=frozen), LayerwiseDecay(type="layerwise-decay", rate=rate)]
    with pytest.raises(RecipeError, match=r"layerwise-decay: with `rate: .* every part that is trained .*head.main"):
        train(bert.job(parts, techniques=techniques))


@pytest.mark.parametrize("average", [EMA(type="ema", decay=0.5), SWA(type="swa", start=0.25)], ids=["ema", "swa"])
def test_an_average_leaves_what_is_frozen_out(bert: Any, make_rows: Any, monkeypatch: Any, average: Any) -> None:
    """What never moves needs no copy, in memory or in a checkpoint."""
    kept: list[set[str]] = []
    kind = type(average)
    after = kind.after_step

    def watched(self: Any, net: Any, state: Any, step: int) -> None:
        after(self, net, state, step)
        kept.append({name.removeprefix("mean/") for name in self.tensors(state) if name != "count"})

    monkeypatch.setattr(kind, "after_step", watched)
    start = bert.weights()
    parts = (bert.objective("classification"), make_rows(64))
    techniques = [Freeze(type="freeze", parts=["embeddings", "layer"]), average]
    end = dict(train(bert.job(parts, techniques=techniques)).net.named_parameters())
    heads = {name for name in start if "head_main" in name}
    assert heads
    assert kept[-1] == heads
    assert all(torch.equal(end[name], start[name]) != (name in heads) for name in start)
