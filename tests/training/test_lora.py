"""Adapters: nothing changes when they go in or come out, and only they learn in between."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from hft_core import Context, RecipeError
from hft_core.training.loop import train
from hft_core.training.measure import measure
from hft_plugins.optimizers.torch_optimizers import AdamW
from hft_plugins.techniques.ema import EMA
from hft_plugins.techniques.lora import LoRA

pytest.importorskip("peft", reason='needs peft; pip install "hft-core[lora]"')

ADAMW = AdamW(type="adamw", lr=5e-3)


def built(bench: Any) -> Any:
    torch.manual_seed(0)  # a head that the folder lacks is random
    return bench.model.build(bench.start, bench.preprocessor, {"main": bench.task.head(bench.facts)}).eval()


def context(bench: Any, seed: int = 0) -> Context:
    return Context(10, seed, {"main": bench.task.head(bench.facts)}, bench.preprocessor)


def adapted(bench: Any, seed: int = 0, **settings: Any) -> tuple[Any, LoRA]:
    net, lora = built(bench), LoRA(type="lora", **settings)
    lora.prepare(net, context(bench, seed))
    return net, lora


def logits(bench: Any, net: Any, make_rows: Any) -> torch.Tensor:
    arrays = bench.preprocessor.pad(bench.preprocessor.encode(make_rows(12)["text"]))
    with torch.no_grad():
        found: torch.Tensor = net("main", **{name: torch.from_numpy(array) for name, array in arrays.items()})["logits"]
    return found


def trained(net: Any) -> set[str]:
    return {name for name, parameter in net.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize("family", ["bert", "gpt"])
def test_adapters_change_nothing_at_the_start(benches: Any, make_rows: Any, family: str) -> None:
    bench = benches[family]
    before = logits(bench, built(bench), make_rows)
    net, _ = adapted(bench)
    assert torch.equal(logits(bench, net, make_rows), before)


@pytest.mark.parametrize("family", ["bert", "gpt"])
def test_merging_keeps_the_outputs_and_restores_a_plain_net(
    benches: Any, make_rows: Any, tmp_path: Path, family: str
) -> None:
    bench = benches[family]
    plain = built(bench)
    net, lora = adapted(bench)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.2)
    before = logits(bench, net, make_rows)
    assert (before - logits(bench, plain, make_rows)).abs().max() > 1e-2, "these adapters matter"
    lora.finish(net, None)
    assert [name for name, _ in net.named_modules()] == [name for name, _ in plain.named_modules()]
    assert list(map(type, net.modules())) == list(map(type, plain.modules()))
    torch.testing.assert_close(logits(bench, net, make_rows), before, atol=1e-5, rtol=1e-5)
    for folder, each in (("plain", plain), ("merged", net)):
        (tmp_path / folder).mkdir()
        each.save(tmp_path / folder)
    files = [sorted(str(file.relative_to(folder)) for file in folder.rglob("*")) for folder in tmp_path.iterdir()]
    assert files[0] == files[1]
    again = bench.model.build(tmp_path / "merged", bench.preprocessor, {"main": bench.task.head(bench.facts)}).eval()
    assert not again.new_heads
    torch.testing.assert_close(logits(bench, again, make_rows), before, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("family", "targets", "modules"),
    [
        ("bert", None, {"query", "value"}),
        ("gpt", None, {"c_attn"}),
        ("bert", ["key", "intermediate.*"], {"key", "dense"}),
        ("bert", [r"encoder\.layer\.1\.attention\.self\.query"], {"query"}),
    ],
)
def test_targets(benches: Any, family: str, targets: Any, modules: set[str]) -> None:
    net, _ = adapted(benches[family], targets=targets)
    names = [name.partition(".lora_A")[0] for name in trained(net) if "lora_A" in name]
    assert {name.rpartition(".")[2] for name in names} == modules
    assert len(names) == (1 if targets and "1" in targets[0] else 2 * len(modules)), "one per layer"


def test_without_knowledge_of_the_architecture_all_linear_modules_of_layers_are_adapted(
    bert: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from peft import utils

    monkeypatch.delitem(utils.TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING, "bert")
    net, _ = adapted(bert)
    assert sum("lora_A" in name for name, _ in net.named_parameters()) == 2 * 6 + 1, "six in a layer, and the pooler"


def test_a_target_that_fits_nothing_lists_what_there_is(bert: Any) -> None:
    with pytest.raises(RecipeError, match=r"'q_proj' fits no linear module.*dense, key, query, value"):
        adapted(bert, targets=["query", "q_proj"])
    with pytest.raises(ValidationError, match="neither a name nor a regular expression"):
        LoRA(type="lora", targets=["("])


def test_alone_only_adapters_and_heads_are_trained(bert: Any) -> None:
    net, _ = adapted(bert)
    assert {name for name in trained(net) if "lora_" not in name} == {
        "_heads.head_main.classifier.weight",
        "_heads.head_main.classifier.bias",
    }
    everything = {name for name, _ in net.named_parameters()}
    assert trained(adapted(bert, alone=False)[0]) == everything


def test_what_another_technique_froze_stays_frozen(bert: Any) -> None:
    net = built(bert)
    frozen = net.embedding().weight.requires_grad_(False)
    LoRA(type="lora", alone=False).prepare(net, context(bert))
    assert not frozen.requires_grad


def test_adapters_depend_on_the_seed_alone(bert: Any) -> None:
    first, again, other = (dict(adapted(bert, seed)[0].named_parameters()) for seed in (1, 1, 2))
    name = next(name for name in first if "lora_A" in name)
    assert torch.equal(first[name], again[name])
    assert not torch.equal(first[name], other[name])
    net, state = built(bert), torch.random.get_rng_state()
    LoRA(type="lora").prepare(net, context(bert))
    assert torch.equal(torch.random.get_rng_state(), state), "others' random numbers are as they were"


def rank(matrix: torch.Tensor) -> int:
    values = torch.linalg.svdvals(matrix.double())
    return int((values > values[0] * 1e-4).sum()) if values[0] > 0 else 0


def test_a_stage_moves_adapted_weights_by_low_rank_and_nothing_else(bert: Any, make_rows: Any) -> None:
    start = bert.weights()
    parts = (bert.objective("classification"), make_rows(64))
    result = train(bert.job(parts, techniques=[LoRA(type="lora", rank=2)], optimizer=ADAMW))
    end = dict(result.net.named_parameters())
    assert sorted(end) == sorted(start)
    for name, value in end.items():
        moved = not torch.equal(value, start[name])
        assert moved == ("query.weight" in name or "value.weight" in name or "classifier" in name), name
        if moved and "classifier" not in name:
            assert 1 <= rank(value.detach() - start[name]) <= 2, name
    assert all(parameter.requires_grad for parameter in end.values())


def test_what_was_measured_is_what_comes_out(bert: Any, make_rows: Any) -> None:
    """The best epoch's average, adapters merged, has the best epoch's figures."""
    job = bert.job(
        (bert.objective("classification"), make_rows(160)),
        epochs=3,
        optimizer=ADAMW,
        validation=make_rows(110, seed=9),
        techniques=[LoRA(type="lora"), EMA(type="ema", decay=0.5)],
    )
    result = train(job)
    best = next(p["validation"] for p in result.history if p["step"] == result.best_step and "validation" in p)
    assert measure(result.net, job, torch.device("cpu")) == best


def test_dropout_of_adapters_changes_training(bert: Any, make_rows: Any) -> None:
    ends = []
    for dropout in (0.0, 0.5):
        parts = (bert.objective("classification"), make_rows(32))
        techniques = [LoRA(type="lora", dropout=dropout, alpha=64)]
        ends.append(dict(train(bert.job(parts, techniques=techniques, optimizer=ADAMW)).net.named_parameters()))
    assert any(not torch.equal(value, ends[1][name]) for name, value in ends[0].items())


@pytest.mark.parametrize("alone", [True, False])
def test_a_killed_stage_ends_with_the_same_weights(bert: Any, make_rows: Any, survives: Any, alone: bool) -> None:
    """With an average and a best epoch: both know the adapters."""

    def made(work: Path) -> Any:
        return bert.job(
            (bert.objective("classification"), make_rows(48)),
            work=work,
            epochs=2,
            optimizer=ADAMW,
            validation=make_rows(110, seed=9),
            techniques=[LoRA(type="lora", dropout=0.1, alone=alone), EMA(type="ema", decay=0.5)],
            checkpoint_minutes=0,
        )

    whole = survives(made, 2, 5)
    assert whole.best_step is not None
    ends = dict(whole.net.named_parameters())
    assert not torch.equal(
        next(v for n, v in ends.items() if "query.weight" in n),
        bert.weights()[next(n for n in ends if "query.weight" in n)],
    )


def test_it_stands_first(tiny: Any, hft_here: Any) -> None:
    tiny.recipe["stages"][0]["techniques"] = [{"type": "ema"}, {"type": "lora"}]
    outcome = hft_here("check", tiny.write())
    assert outcome.code == 2
    assert "lora changes the modules of the net, so it has to stand before ema; put it first" in outcome.err
