"""Adapters: nothing changes when they go in or come out, and only they learn in between."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from hft_core import Context, HeadSpec, RecipeError
from hft_core.training.loop import train
from hft_core.training.measure import measure
from hft_plugins.optimizers.torch_optimizers import AdamW
from hft_plugins.techniques.ema import EMA
from hft_plugins.techniques.freeze import Freeze
from hft_plugins.techniques.lora import LoRA, LoRAState

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


def unsettle(net: Any, std: float = 0.1) -> None:
    """Give adapters weights that matter."""
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=std)


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
    unsettle(net, 0.2)
    before = logits(bench, net, make_rows)
    assert (before - logits(bench, plain, make_rows)).abs().max() > 1e-2, "these adapters matter"
    lora.finish(net, LoRAState())
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


# ---- the adapter by itself ----


def with_adapter(folder: Path, adapter: Path, kind: Any, **settings: Any) -> Any:
    """The model of a folder as transformers loads it, with the adapter as peft loads it."""
    from peft import PeftModel

    torch.manual_seed(99)  # a head that the folder lacks is other random numbers than the stage's
    base = kind.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager", **settings)
    return PeftModel.from_pretrained(base, adapter).eval()


def peft_logits(bench: Any, model: Any, make_rows: Any) -> torch.Tensor:
    arrays = bench.preprocessor.pad(bench.preprocessor.encode(make_rows(12)["text"]))
    with torch.no_grad():
        found: torch.Tensor = model(**{name: torch.from_numpy(array) for name, array in arrays.items()}).logits
    return found


@pytest.mark.parametrize("family", ["bert", "gpt"])
@pytest.mark.parametrize("settings", [{}, {"targets": [".*"], "rank": 2, "alpha": 5}])
def test_peft_loads_the_adapter(
    benches: Any, make_rows: Any, tmp_path: Path, family: str, settings: dict[str, Any]
) -> None:
    from transformers import AutoModelForSequenceClassification

    bench = benches[family]
    net, lora = adapted(bench, **settings)
    unsettle(net)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if "head_main" in name and parameter.requires_grad and "lora_" not in name:
                parameter.normal_(std=0.1)  # a trained head
    state = LoRAState()
    lora.finish(net, state)
    lora.save(net, state, tmp_path)
    folder = tmp_path / "adapters" / "lora"
    assert sorted(file.name for file in folder.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    model = with_adapter(bench.start, folder, AutoModelForSequenceClassification, num_labels=2)
    merged = logits(bench, net, make_rows)
    torch.testing.assert_close(peft_logits(bench, model, make_rows), merged, atol=1e-5, rtol=0)
    with model.disable_adapter():
        assert (peft_logits(bench, model, make_rows) - merged).abs().max() > 1e-2, "the adapter matters"


def test_an_adapter_brings_the_pooler_that_a_language_model_lacks(bert: Any, make_rows: Any, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    start = tmp_path / "start"
    start.mkdir()
    bert.model.build(bert.start, bert.preprocessor, {"masked-lm": HeadSpec("masked-lm")}).save(start)
    weights = {name: tensor for name, tensor in load_file(start / "model.safetensors").items() if "pooler" not in name}
    save_file(weights, start / "model.safetensors", {"format": "pt"})
    torch.manual_seed(0)
    net = bert.model.build(start, bert.preprocessor, {"main": bert.task.head(bert.facts)}).eval()
    lora, state = LoRA(type="lora", name="small"), LoRAState()
    lora.prepare(net, context(bert))
    unsettle(net)
    lora.finish(net, state)
    lora.save(net, state, tmp_path)
    model = with_adapter(start, tmp_path / "adapters" / "small", AutoModelForSequenceClassification, num_labels=2)
    torch.testing.assert_close(peft_logits(bert, model, make_rows), logits(bert, net, make_rows), atol=1e-5, rtol=0)


def test_a_language_models_adapter(gpt: Any, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    net = gpt.model.build(gpt.start, gpt.preprocessor, {"causal-lm": HeadSpec("causal-lm")}).eval()
    lora, state = LoRA(type="lora"), LoRAState()
    lora.prepare(net, context(gpt))
    unsettle(net)
    lora.finish(net, state)
    lora.save(net, state, tmp_path)
    folder = tmp_path / "adapters" / "lora"
    assert json.loads((folder / "adapter_config.json").read_text())["task_type"] == "CAUSAL_LM"
    model = with_adapter(gpt.start, folder, AutoModelForCausalLM)
    inputs = torch.arange(1, 9)[None]
    mask = torch.ones_like(inputs)
    with torch.no_grad():
        expected = net("causal-lm", input_ids=inputs, attention_mask=mask)["logits"]
        torch.testing.assert_close(model(input_ids=inputs, attention_mask=mask).logits, expected, atol=1e-5, rtol=0)


def test_beside_full_updates_there_is_no_adapter(bert: Any, tmp_path: Path) -> None:
    net, lora = adapted(bert, alone=False)
    state = LoRAState()
    lora.finish(net, state)
    lora.save(net, state, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_run_keeps_the_adapter_beside_its_model(tiny: Any, tmp_path: Path) -> None:
    """For the model that the stage started from: an earlier run's."""
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification

    import hft_core

    first = hft_core.run(tiny.write())
    tiny.recipe |= {"name": "second", "model": {"type": "bert", "source": str(first.folder), "max_length": 32}}
    tiny.recipe["stages"][0] |= {
        "optimizer": {"type": "adam", "lr": 0.01},
        "techniques": [{"type": "lora", "rank": 4}, {"type": "ema", "decay": 0.5}],
    }
    second = hft_core.run(tiny.write("second.yaml"))
    base = AutoModelForSequenceClassification.from_pretrained(first.model, attn_implementation="eager").eval()
    merged = AutoModelForSequenceClassification.from_pretrained(second.model, attn_implementation="eager").eval()
    inputs = {"input_ids": torch.arange(5, 25).view(2, 10), "attention_mask": torch.ones(2, 10, dtype=torch.long)}
    with torch.no_grad():
        before, after = base(**inputs).logits, merged(**inputs).logits
        adapted = PeftModel.from_pretrained(base, second.model / "adapters" / "lora").eval()(**inputs).logits
    torch.testing.assert_close(adapted, after, atol=1e-5, rtol=0)
    assert (before - after).abs().max() > 1e-3, "training moved it"


def test_a_checkpoint_holds_what_is_trained_and_nothing_else(
    bert: Any, make_rows: Any, crashed: Any, tmp_path: Path
) -> None:
    """The rest is what the stage started from, whose key is part of the stage's."""
    from safetensors import safe_open

    made = bert.job(
        (bert.objective("classification"), make_rows(48)),
        work=tmp_path / "work",
        optimizer=ADAMW,
        techniques=[LoRA(type="lora"), EMA(type="ema")],
        checkpoint_minutes=0,
    )
    crashed(made, 2)
    [newest] = sorted((tmp_path / "work").glob("step-*"))[-1:]
    with safe_open(newest / "tensors.safetensors", "pt") as file:
        names = list(file.keys())
    plain = built(bert)
    whole = {f"net/{name}" for name, _ in plain.named_parameters()}
    heads = {name for name in whole if "classifier" in name}
    weights = {
        name
        for name in names
        if name.startswith("net/") and "position_ids" not in name and "token_type_ids" not in name
    }
    assert heads <= weights
    assert {name for name in weights - heads if "lora_" not in name} == set()
    assert {name for name in names if name.startswith("technique/")} == {
        name.replace("net/", "technique/1/") for name in weights
    }


def test_a_freeze_that_leaves_no_adapter_is_refused(bert: Any, make_rows: Any) -> None:
    parts = (bert.objective("classification"), make_rows(16))
    techniques = [LoRA(type="lora"), Freeze(type="freeze", parts=["layer"])]
    with pytest.raises(RecipeError, match="technique lora: another technique of the stage freezes all its adapters"):
        train(bert.job(parts, techniques=techniques))


def test_it_stands_first(tiny: Any, hft_here: Any) -> None:
    tiny.recipe["stages"][0]["techniques"] = [{"type": "ema"}, {"type": "lora"}]
    outcome = hft_here("check", tiny.write())
    assert outcome.code == 2
    assert "lora changes the modules of the net, so it has to stand before ema; put it first" in outcome.err
