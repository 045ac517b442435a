"""Muon and Lion: which parameters they move, by how much; and their state survives a crash."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from hft_core import RecipeError
from hft_core.training.module import parameter_groups
from hft_plugins.optimizers.lion import Lion
from hft_plugins.optimizers.muon import Muon
from hft_plugins.optimizers.schedules import Linear
from hft_plugins.optimizers.torch_optimizers import AdamW
from hft_plugins.techniques.layerwise_decay import LayerwiseDecay

pytest.importorskip("lion_pytorch", reason='needs lion-pytorch; pip install "hft-core[lion]"')

OPTIMIZERS = {"muon": Muon(type="muon", lr=1e-3), "lion": Lion(type="lion", lr=1e-3)}


def built(bench: Any) -> Any:
    return bench.model.build(bench.start, bench.preprocessor, {"main": bench.task.head(bench.facts)})


def after_one_step(bench: Any, optimizer: Any, groups: Any = None) -> tuple[dict[str, Any], dict[str, Any], Any]:
    """Start and end of one step along fixed gradients."""
    net = built(bench)
    groups = parameter_groups(net) if groups is None else groups(net)
    torch_optimizer = optimizer.build(groups)
    start = {name: parameter.detach().clone() for name, parameter in net.named_parameters()}
    torch.manual_seed(3)
    for parameter in net.parameters():
        parameter.grad = torch.randn_like(parameter)
    for group, torch_group in zip(groups, torch_optimizer.param_groups, strict=True):
        torch_group["lr"] = optimizer.lr * group.lr_scale  # as the loop does
    torch_optimizer.step()
    return start, {name: parameter.detach() for name, parameter in net.named_parameters()}, net


@pytest.mark.parametrize("family", ["bert", "gpt"])
def test_muon_moves_matrices_of_layers_and_adamw_the_rest(benches: Any, family: str) -> None:
    bench = benches[family]
    start, muon, net = after_one_step(bench, Muon(type="muon", lr=1e-3))
    _, adamw, _ = after_one_step(bench, AdamW(type="adamw", lr=1e-3))
    layers = [part.module for part in net.parts() if part.name.startswith("layer.")]
    inside = {id(parameter) for layer in layers for parameter in layer.parameters() if parameter.ndim == 2}
    for name, parameter in net.named_parameters():
        assert torch.equal(muon[name], adamw[name]) != (id(parameter) in inside), name
        if id(parameter) in inside:  # 0.2 × √longer side × an almost orthogonal matrix: AdamW's size
            update = (muon[name] - start[name] * (1 - 1e-3 * 0.01)).double()
            values = torch.linalg.svdvals(update) / (1e-3 * 0.2 * max(update.shape) ** 0.5)
            assert 0.5 < values.median() < 1.4, name
    assert inside


def test_muon_follows_the_rates_of_groups(bert: Any) -> None:
    def scaled(net: Any) -> Any:
        return LayerwiseDecay(type="layerwise-decay", rate=0.5).groups(net, parameter_groups(net))

    optimizer = Muon(type="muon", lr=1e-3, weight_decay=0.0)
    start, whole, _ = after_one_step(bert, optimizer)
    _, parts, _ = after_one_step(bert, optimizer, scaled)
    for name in start:
        share = 0.5 if "layer.1." in name else 0.25 if "layer.0." in name else None
        if share:
            torch.testing.assert_close(
                parts[name] - start[name], share * (whole[name] - start[name]), atol=1e-7, rtol=2e-3
            )


def test_a_pattern_that_fits_no_matrix_lists_those_there_are(bert: Any) -> None:
    with pytest.raises(RecipeError, match=r"fits 'nothing'; there are .*word_embeddings.weight"):
        Muon(type="muon", lr=1e-3, matrices="nothing").build(parameter_groups(built(bert)))
    with pytest.raises(ValidationError, match="no regular expression"):
        Muon(type="muon", lr=1e-3, matrices="(")


def test_lion_takes_steps_of_one_size(bert: Any) -> None:
    start, after, _ = after_one_step(bert, Lion(type="lion", lr=1e-3, weight_decay=0.1))
    for name, value in after.items():
        kept = start[name] * (1 - 1e-3 * 0.1) if value.ndim >= 2 else start[name]
        torch.testing.assert_close((value - kept).abs(), torch.full_like(value, 1e-3), atol=2e-7, rtol=0)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_killed_stage_ends_with_the_same_weights(bert: Any, make_rows: Any, survives: Any, kind: str) -> None:
    def made(work: Path) -> Any:
        return bert.job(
            (bert.objective("classification"), make_rows(80)),
            work=work,
            optimizer=OPTIMIZERS[kind],
            schedule=Linear(type="linear", warmup=0.2),
            techniques=[LayerwiseDecay(type="layerwise-decay", rate=0.9)],
            checkpoint_minutes=0,
        )

    start = bert.weights()
    whole = dict(survives(made, 2, 4).net.named_parameters())
    assert not any(torch.equal(whole[name], start[name]) for name in whole if "pooler" in name or "layer" in name)
