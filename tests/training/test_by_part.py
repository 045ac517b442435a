"""Techniques that treat the parts of a net differently: what moves, what doesn't, when, and by how much."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from transformers import AutoConfig, AutoModel

from hft_core import Context, Part, RecipeError
from hft_core.training import loop
from hft_core.training.loop import train
from hft_core.training.module import parameter_groups
from hft_plugins.optimizers.torch_optimizers import SGD, AdamW
from hft_plugins.techniques.by_part import means, owners
from hft_plugins.techniques.ema import EMA
from hft_plugins.techniques.freeze import Freeze
from hft_plugins.techniques.gradual_unfreezing import GradualUnfreezing
from hft_plugins.techniques.layerwise_decay import LayerwiseDecay
from hft_plugins.techniques.rates import Rates
from hft_plugins.techniques.reinit import Reinit
from hft_plugins.transformers.net import TransformersNet

FAMILIES = ["bert", "gpt"]
LANGUAGE = {"bert": "masked-lm", "gpt": "causal-lm"}
ADAMW = AdamW(type="adamw", lr=1e-3)  # its decay would show on what only lacks a gradient


def net_of(bench: Any) -> Any:
    return bench.model.build(bench.start, bench.preprocessor, {"main": bench.task.head(bench.facts)})


def part_of(net: Any) -> dict[str, str]:
    """The part of each parameter by names."""
    owner = owners(net)
    return {name: owner[id(parameter)].name for name, parameter in net.named_parameters()}


def context(bench: Any, steps: int = 8, seed: int = 0) -> Context:
    return Context(steps, seed, {"main": bench.task.head(bench.facts)}, bench.preprocessor)


def job(bench: Any, make_rows: Any, *techniques: Any, **settings: Any) -> Any:
    """A stage of classification; 64 rows are four steps an epoch."""
    defaults: dict[str, Any] = {"optimizer": ADAMW}
    parts = (bench.objective("classification"), make_rows(64))
    return bench.job(parts, techniques=list(techniques), **(defaults | settings))


def steps_of(made: Any, monkeypatch: pytest.MonkeyPatch, copied: Any) -> list[dict[str, torch.Tensor]]:
    """Train, and give all weights before the first step and after each."""
    states: list[dict[str, torch.Tensor]] = []
    step = loop._Stage.one_step

    def stepped(self: Any) -> None:
        if not states:
            states.append(copied(self.net))
        step(self)
        states.append(copied(self.net))

    with monkeypatch.context() as patch:
        patch.setattr(loop._Stage, "one_step", stepped)
        train(made)
    return states


def moved(before: Mapping[str, torch.Tensor], after: Mapping[str, torch.Tensor], parts: dict[str, str]) -> set[str]:
    """Names of the parts in which any number changed."""
    return {parts[name] for name in before if not torch.equal(before[name], after[name])}


def test_a_name_means_a_part_its_kind_or_what_lies_under_it() -> None:
    part = Part("text.layer.1", 0.5, "layer", torch.nn.Identity())
    meant = ["text.layer.1", "layer", "text", "text.layer"]
    assert [name for name in (*meant, "text.layer.11", "tex", "layer.1", "") if means(name, part)] == meant


# ---- freeze ----


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("settings", "frozen"),
    [
        ({"parts": ["embeddings", "layer.0"]}, {"embeddings", "layer.0"}),
        ({"parts": ["layer"]}, {"layer.0", "layer.1", "final"}),
        ({"below": 0.5}, {"embeddings", "layer.0"}),
        ({"below": 0.1, "parts": ["layer.1"]}, {"embeddings", "layer.1"}),
    ],
)
def test_frozen_parts_keep_their_weights_and_the_others_move(
    benches: Any, make_rows: Any, family: str, settings: dict[str, Any], frozen: set[str]
) -> None:
    bench = benches[family]
    net = net_of(bench)
    start, parts = bench.weights(), part_of(net)
    end = dict(train(job(bench, make_rows, Freeze(type="freeze", **settings))).net.named_parameters())
    assert moved(start, end, parts) == set(parts.values()) - frozen
    for name, weight in start.items():
        assert torch.equal(end[name], weight) == (parts[name] in frozen), name
    assert all(parameter.requires_grad for parameter in end.values()), "the next stage begins as any"


def test_patterns_freeze_by_name(bert: Any, make_rows: Any) -> None:
    start = bert.weights()
    result = train(job(bert, make_rows, Freeze(type="freeze", patterns=["LayerNorm", r"layer\.1\..*bias$"])))
    for name, weight in result.net.named_parameters():
        frozen = "LayerNorm" in name or ("layer.1." in name and name.endswith("bias"))
        assert torch.equal(weight, start[name]) == frozen, name


def test_frozen_parameters_are_no_part_of_the_optimizer(bert: Any) -> None:
    net = net_of(bert)
    Freeze(type="freeze", parts=["embeddings", "layer"]).prepare(net, context(bert))
    assert {name for group in parameter_groups(net) for name in group.names} == {
        "_heads.head_main.classifier.weight",
        "_heads.head_main.classifier.bias",
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_a_frozen_head_leaves_the_embeddings_that_it_is_tied_to(benches: Any, make_rows: Any, family: str) -> None:
    bench, language = benches[family], LANGUAGE[family]
    start = bench.weights(None, "main", language)
    parts = [(bench.objective("classification"), make_rows(48)), (bench.objective(language), make_rows(70))]
    frozen = Freeze(type="freeze", parts=[f"head.{language}" if family == "bert" else "head.main"])
    end = dict(train(bench.job(*parts, techniques=[frozen])).net.named_parameters())
    embedding = next(name for name in start if name.endswith(("word_embeddings.weight", "wte.weight")))
    assert not torch.equal(end[embedding], start[embedding])
    own = [name for name in start if name.startswith(f"_heads.head_{frozen.parts[0].removeprefix('head.')}")]
    assert own
    assert all(torch.equal(end[name], start[name]) for name in own)


# ---- gradual unfreezing ----


@pytest.mark.parametrize("family", FAMILIES)
def test_layers_open_from_the_top_down(
    benches: Any, make_rows: Any, monkeypatch: pytest.MonkeyPatch, parameters_of: Any, family: str
) -> None:
    bench = benches[family]
    parts = part_of(net_of(bench))
    technique = GradualUnfreezing(type="gradual-unfreezing", every=0.25)
    states = steps_of(job(bench, make_rows, technique, epochs=2), monkeypatch, parameters_of)
    assert len(states) == 9
    opening = [("head.main", 0), ("layer.1", 2), ("final", 2), ("layer.0", 4), ("embeddings", 6)]
    for step in range(8):
        open_now = {part for part, opens in opening if step >= opens}
        assert moved(states[step], states[step + 1], parts) == open_now, step


def test_by_default_each_depth_has_the_same_share(
    bert: Any, make_rows: Any, monkeypatch: pytest.MonkeyPatch, parameters_of: Any
) -> None:
    net = net_of(bert)
    state = GradualUnfreezing(type="gradual-unfreezing").prepare(net, context(bert, steps=10))
    owner = owners(net)
    opens = {owner[id(p)].name: state.opening[name] for name, p in net.named_parameters() if name in state.opening}
    assert opens == {"head.main": 0, "layer.1": 2, "final": 2, "layer.0": 5, "embeddings": 7}


def test_what_is_not_open_has_no_gradient_and_no_state(
    bert: Any, make_rows: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[set[str], set[str]]] = []
    check = loop._Stage._check_finite
    parts = part_of(net_of(bert))

    def checked(self: Any, norm: float) -> None:
        named = list(self.net.named_parameters())
        gradients = {parts[name] for name, parameter in named if parameter.grad is not None}
        state = {parts[name] for name, parameter in named if parameter in self.optimizer.state}
        seen.append((gradients, state))
        check(self, norm)

    monkeypatch.setattr(loop._Stage, "_check_finite", checked)
    train(job(bert, make_rows, GradualUnfreezing(type="gradual-unfreezing")))
    orders = [
        {"head.main"},
        {"head.main", "layer.1", "final"},
        set(parts.values()) - {"embeddings"},
        set(parts.values()),
    ]
    assert [gradients for gradients, _ in seen] == orders
    assert [state for _, state in seen] == [set(), *orders[:-1]]


@pytest.mark.parametrize("family", FAMILIES)
def test_unfreezing_goes_on_after_crashes_at_any_step(benches: Any, make_rows: Any, survives: Any, family: str) -> None:
    bench = benches[family]

    def made(work: Path) -> Any:
        techniques = [GradualUnfreezing(type="gradual-unfreezing", every=0.25), EMA(type="ema", decay=0.9)]
        return job(bench, make_rows, *techniques, epochs=2, work=work, checkpoint_minutes=0)

    survives(made, *range(1, 9))  # each goes on where the one before had its last checkpoint


def settling(bert: Any, make_rows: Any, tmp_path: Path, work: str, **settings: Any) -> Any:
    """Masked LM on weights without that head: 22 steps, of which the head has the first two for itself."""
    start = tmp_path / "start"
    if not start.exists():
        start.mkdir()
        net_of(bert).save(start)
    parts = (bert.objective("masked-lm"), make_rows(178))
    return bert.job(parts, start=start, epochs=2, optimizer=ADAMW, work=tmp_path / work, **settings)


@pytest.mark.parametrize(
    ("every", "opening"),
    [(0.25, {"layer.1": 6, "layer.0": 11, "embeddings": 16}), (0.05, {"layer.1": 2, "layer.0": 2, "embeddings": 3})],
)
def test_a_new_head_settles_alone_whatever_is_open(
    bert: Any,
    make_rows: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    parameters_of: Any,
    crashed: Any,
    every: float,
    opening: dict[str, int],
) -> None:
    techniques = [GradualUnfreezing(type="gradual-unfreezing", every=every)]
    made = settling(bert, make_rows, tmp_path, "whole", techniques=techniques)
    states = steps_of(made, monkeypatch, parameters_of)
    parts = {name: name for name in states[0]}
    for number, layer in (("0", "layer.0"), ("1", "layer.1")):
        parts |= {name: layer for name in parts if f"layer.{number}." in name}
    parts |= {name: "embeddings" for name in parts if "embeddings" in name}
    for step in range(22):
        now = moved(states[step], states[step + 1], parts)
        assert now & set(opening) == {part for part, opens in opening.items() if step >= opens}, step
        assert any("masked-lm" in name for name in now)
    for after in (1, 2, 3, 4, 7):
        again = settling(bert, make_rows, tmp_path, "work", techniques=techniques, checkpoint_minutes=0)
        crashed(again, after)
    result = train(settling(bert, make_rows, tmp_path, "work", techniques=techniques, checkpoint_minutes=0))
    for name, weight in result.net.named_parameters():
        assert torch.equal(weight, states[-1][name]), name


def test_what_is_frozen_for_good_is_not_opened(bert: Any, make_rows: Any, monkeypatch: Any, parameters_of: Any) -> None:
    parts = part_of(net_of(bert))
    techniques = [Freeze(type="freeze", parts=["embeddings"]), GradualUnfreezing(type="gradual-unfreezing")]
    states = steps_of(job(bert, make_rows, *techniques, epochs=1.5), monkeypatch, parameters_of)
    orders = [moved(states[step], states[step + 1], parts) for step in range(6)]
    assert orders[0] == orders[1] == {"head.main"}
    assert orders[2] == orders[3] == {"head.main", "layer.1", "final"}
    assert orders[4] == orders[5] == set(parts.values()) - {"embeddings"}


# ---- rates ----


@pytest.mark.parametrize("family", FAMILIES)
def test_a_step_is_as_much_longer_as_its_factor(benches: Any, make_rows: Any, family: str) -> None:
    bench = benches[family]
    start, parts = bench.weights(), part_of(net_of(bench))
    technique = Rates(type="rates", factors={"head": 10, "embeddings": 0.1, "layer": 2, "layer.0": 3})
    ends = []
    for techniques in ([], [technique]):
        made = bench.job(
            (bench.objective("classification"), make_rows(16)), techniques=techniques, optimizer=SGD(type="sgd", lr=0.1)
        )
        ends.append(dict(train(made).net.named_parameters()))
    factor = {"head.main": 10.0, "embeddings": 0.1, "layer.0": 3.0, "layer.1": 2.0, "final": 2.0}
    for name, weight in start.items():
        plain, scaled = ends[0][name] - weight, ends[1][name] - weight
        torch.testing.assert_close(scaled, plain * factor[parts[name]], rtol=1e-3, atol=3e-7)
    assert set(parts.values()) == set(factor)


def test_factors_are_multiplied_with_other_techniques_and_keep_decay_apart(bert: Any) -> None:
    net = net_of(bert)
    groups = LayerwiseDecay(type="layerwise-decay", rate=0.5).groups(net, parameter_groups(net))
    groups = Rates(type="rates", factors={"head": 10}).groups(net, groups)
    parts = part_of(net)
    scale_of = {name: group.lr_scale for group in groups for name in group.names}
    assert sorted(scale_of) == sorted(parts), "each parameter once"
    expected = {"head.main": 10.0, "layer.1": 0.5, "final": 0.5, "layer.0": 0.25, "embeddings": 0.125}
    assert {parts[name]: scale for name, scale in scale_of.items()} == expected
    assert all(group.decay == (parameter.ndim >= 2) for group in groups for parameter in group.params)


# ---- reinit ----


@pytest.mark.parametrize("family", FAMILIES)
def test_only_the_top_layers_and_the_pooler_are_new(benches: Any, family: str) -> None:
    bench = benches[family]
    net = net_of(bench)
    with torch.no_grad():  # weights that no initialisation gives
        for parameter in net.parameters():
            parameter.add_(3.0)
    before, parts = {name: p.detach().clone() for name, p in net.named_parameters()}, part_of(net)
    Reinit(type="reinit").prepare(net, context(bench))
    new = {"layer.1", "final"} if family == "bert" else {"layer.1"}  # GPT-2's last normalisation stays
    for name, weight in net.named_parameters():
        assert torch.equal(weight, before[name]) == (parts[name] not in new), name
        if parts[name] not in new:
            continue
        if weight.ndim < 2:
            norm = "LayerNorm" in name or ".ln_" in name
            assert torch.equal(weight, torch.full_like(weight, float(norm and name.endswith("weight")))), name
        else:
            scale = 0.02 / (4**0.5 if "c_proj" in name else 1)  # two layers of two branches each
            assert weight.std().item() == pytest.approx(scale, rel=0.05), name
            assert abs(weight.mean().item()) < scale / 20, name


def test_the_numbers_depend_on_the_seed_alone_and_disturb_no_others(bert: Any) -> None:
    weights: list[torch.Tensor] = []
    for seed in (3, 3, 4):
        net = net_of(bert)
        torch.manual_seed(len(weights))  # what came before has no part in it
        state = torch.get_rng_state()
        Reinit(type="reinit").prepare(net, context(bert, seed=seed))
        assert torch.equal(torch.get_rng_state(), state)
        weights.append(dict(net.named_parameters())["backbone.encoder.layer.1.output.dense.weight"])
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_resumed_stage_does_not_draw_again(benches: Any, make_rows: Any, survives: Any, family: str) -> None:
    bench = benches[family]

    def made(work: Path) -> Any:
        return job(bench, make_rows, Reinit(type="reinit", layers=2), work=work, checkpoint_minutes=0)

    whole = survives(made, 1, 3)
    weights = dict(train(job(bench, make_rows)).net.named_parameters())
    assert any(not torch.equal(weight, weights[name]) for name, weight in whole.net.named_parameters())


OTHERS: dict[str, dict[str, Any]] = {
    "albert": {"embedding_size": 8},
    "deberta-v2": {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "norm_rel_ebd": "layer_norm"},
    "llama": {"num_key_value_heads": 2},
    "modernbert": {"pad_token_id": 0, "cls_token_id": 1, "sep_token_id": 2},
}


@pytest.mark.parametrize("family", OTHERS)
def test_other_families_have_their_top_layer_drawn_and_their_normalisation_left(bert: Any, family: str) -> None:
    sizes = {"vocab_size": 50, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32}
    config = AutoConfig.for_model(family, **sizes, num_hidden_layers=2, **OTHERS[family])
    auto: Any = AutoModel  # untyped
    net = TransformersNet(auto.from_config(config), {}, frozenset())
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(3.0)
            parameter._is_hf_initialized = True  # type: ignore[attr-defined]  # as after loading
    before, parts = {name: p.detach().clone() for name, p in net.named_parameters()}, part_of(net)
    Reinit(type="reinit").prepare(net, context(bert))
    top = "layer.0" if family == "albert" else "layer.1"  # ALBERT's layers are one
    for name, weight in net.named_parameters():
        new = parts[name] == top or "pooler" in name
        assert torch.equal(weight, before[name]) != new, name
        assert not new or weight.abs().max() <= 1, name


class Plain(torch.nn.Module):
    """A net whose layers are torch's own."""

    def __init__(self, layer: torch.nn.Module):
        super().__init__()
        self.layer = layer

    def parts(self) -> list[Any]:
        return [Part("mixed", 0.5, "layer", self.layer)]


def test_layers_of_torch_are_drawn_as_torch_draws_them(bert: Any) -> None:
    torch.manual_seed(0)
    net: Any = Plain(torch.nn.TransformerEncoderLayer(16, 2, 32))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.fill_(3.0)
    Reinit(type="reinit").prepare(net, context(bert))
    for name, parameter in net.named_parameters():
        if parameter.ndim == 2:
            assert 0.05 < parameter.std().item() < 0.5, name
        assert not (parameter == 3.0).any(), name
    assert not net.layer.self_attn.out_proj.bias.any()

    class Own(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(3))

    own: Any = Plain(torch.nn.Sequential(Own()))
    with pytest.raises(RecipeError, match=r"0 \(Own\) does not say how it is initialised"):
        Reinit(type="reinit").prepare(own, context(bert))


# ---- what changes nothing, or makes no sense ----

THERE = r"embeddings, layer\.0, layer\.1, final, head\.main"
MISTAKES = {
    "no part": (Freeze(type="freeze", parts=["layer.7"]), rf"'layer\.7' means no part.*{THERE}.*\(embeddings, layer, head\)"),
    "no name": (Freeze(type="freeze", patterns=["gamma"]), r"'gamma' is found in no name.*nearest are "),
    "all": (Freeze(type="freeze", parts=["embeddings", "layer", "head"]), "nothing is left to train"),
    "too late": (GradualUnfreezing(type="gradual-unfreezing", every=0.4), r"embeddings would open after.*less than 0\.33"),
    "at once": (GradualUnfreezing(type="gradual-unfreezing", every=0.01), rf"\({THERE}\) would open at the first of 4 steps"),
    "no rate": (Rates(type="rates", factors={"haed": 3}), rf"rates: 'haed' means no part.*{THERE}"),
    "rate one": (Rates(type="rates", factors={"head": 1}), "every factor is 1"),
    "too many": (Reinit(type="reinit", layers=3), r"3 layers.*has 2.*embeddings \(embeddings\), layer\.0 \(layer\)"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_setting_that_changes_nothing_is_refused(bert: Any, make_rows: Any, mistake: str) -> None:
    technique, message = MISTAKES[mistake]
    with pytest.raises(RecipeError, match=message):
        train(job(bert, make_rows, technique))


def test_a_share_of_depth_with_nothing_in_it_is_refused(bert: Any, make_rows: Any) -> None:
    techniques = [Freeze(type="freeze", parts=["embeddings"]), Freeze(type="freeze", below=0.2)]
    with pytest.raises(RecipeError, match=r"nothing that is trained lies below 0\.2.*layer\.0 \(0\.333\)"):
        train(job(bert, make_rows, *techniques))


@pytest.mark.parametrize("first", [True, False])
def test_what_is_new_must_be_trained(bert: Any, make_rows: Any, first: bool) -> None:
    techniques = [Reinit(type="reinit"), Freeze(type="freeze", parts=["layer.1"])]
    with pytest.raises(RecipeError, match=r"encoder\.layer\.1.* would stay at random numbers"):
        train(job(bert, make_rows, *(techniques if first else techniques[::-1])))


def test_a_stage_of_one_step_cannot_unfreeze_gradually(bert: Any, make_rows: Any) -> None:
    technique = GradualUnfreezing(type="gradual-unfreezing")
    with pytest.raises(RecipeError, match="first of 1 steps"):
        train(job(bert, make_rows, technique, batch_size=64))


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (Freeze, {"type": "freeze"}, "name what to freeze"),
        (Freeze, {"type": "freeze", "patterns": ["("]}, "is no regular expression"),
        (Freeze, {"type": "freeze", "below": 0}, "greater than 0"),
        (Rates, {"type": "rates", "factors": {"head": 0}}, "greater than 0"),
        (Rates, {"type": "rates", "factors": {}}, "at least 1"),
        (Reinit, {"type": "reinit", "layers": 0}, "greater than or equal to 1"),
    ],
)
def test_settings_are_checked_in_the_recipe(kind: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        kind.model_validate(settings)


def test_an_objective_that_would_train_nothing_is_refused(bert: Any, make_rows: Any) -> None:
    """Its head and the backbone are frozen, while another objective's head is not."""
    from hft_core import RecipeError
    from hft_core.training.loop import train
    from hft_plugins.techniques.freeze import Freeze

    freeze = Freeze(type="freeze", parts=["embeddings", "layer", "head.main"])
    parts = [(bert.objective(kind), make_rows(32)) for kind in ("masked-lm", "classification")]
    with pytest.raises(RecipeError, match="objective classification: it would train nothing"):
        train(bert.job(*parts, techniques=[freeze]))
