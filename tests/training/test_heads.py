"""Heads over stages: new ones are trained alone first, known ones are picked up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from hft_core import HeadSpec, PluginError
from hft_core.training.loop import train
from hft_plugins.optimizers.torch_optimizers import AdamW


@pytest.fixture
def without_language_head(bert: Any, tmp_path: Path) -> Path:
    """A folder with the backbone and the classifier only."""
    net = bert.model.build(bert.start, bert.preprocessor, {"main": bert.task.head(bert.facts)})
    folder = tmp_path / "classifier"
    folder.mkdir()
    net.save(folder)
    return folder


def snapshots(job: Any, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, torch.Tensor]]:
    """Train, and give all parameters before the first step and after each step."""
    from hft_core.training import loop

    found: list[dict[str, torch.Tensor]] = []

    def copied(net: Any) -> dict[str, torch.Tensor]:
        return {name: parameter.detach().clone() for name, parameter in net.named_parameters()}

    make, step = loop._Stage.__init__, loop._Stage.one_step

    def made(self: Any, job: Any) -> None:
        make(self, job)
        found.append(copied(self.net))

    def stepped(self: Any) -> None:
        step(self)
        found.append(copied(self.net))

    monkeypatch.setattr(loop._Stage, "__init__", made)
    monkeypatch.setattr(loop._Stage, "one_step", stepped)
    train(job)
    return found


def test_a_new_head_is_trained_alone_first(
    bert: Any, make_rows: Any, without_language_head: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = bert.job(
        (bert.objective("masked-lm"), make_rows(178)),  # 161 rows are trained on: 11 steps an epoch
        start=without_language_head,
        epochs=2,
        optimizer=AdamW(type="adamw", lr=1e-3),
    )
    said: list[str] = []
    job.say = said.append
    states = snapshots(job, monkeypatch)
    assert len(states) == 23
    assert any("masked-lm" in text and "new" in text and "2 steps" in text for text in said)
    for step in (1, 2):
        for name, weight in states[step].items():
            own = name.startswith("_heads.head_masked-lm.")
            assert torch.equal(weight, states[step - 1][name]) != own, (step, name)
    moved = [name for name, weight in states[3].items() if not torch.equal(weight, states[2][name])]
    assert [name for name in moved if name.startswith("backbone.encoder")]
    assert [name for name in moved if name.startswith("backbone.embeddings")]


def test_a_known_head_does_not_settle(bert: Any, make_rows: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    states = snapshots(bert.job((bert.objective("masked-lm"), make_rows(178)), epochs=2), monkeypatch)
    assert not torch.equal(
        states[0]["backbone.encoder.layer.0.output.dense.weight"],
        states[1]["backbone.encoder.layer.0.output.dense.weight"],
    )


def test_no_settling_of_zero_steps_is_announced(bert: Any, make_rows: Any, without_language_head: Path) -> None:
    job = bert.job((bert.objective("masked-lm"), make_rows(40)), start=without_language_head)  # 3 steps: a tenth is 0
    said: list[str] = []
    job.say = said.append
    train(job)
    assert not any("0 steps" in text for text in said)


@pytest.mark.parametrize("order", [("classification", "masked-lm"), ("masked-lm", "classification")])
def test_a_new_head_settles_beside_a_known_one(
    bert: Any, make_rows: Any, without_language_head: Path, monkeypatch: pytest.MonkeyPatch, order: tuple[str, str]
) -> None:
    """Joint stage on weights without a language-model head: the classifier's loss has no part in the settling."""
    parts = [(bert.objective(kind), make_rows(178, seed=i)) for i, kind in enumerate(order)]
    states = snapshots(bert.job(*parts, start=without_language_head, epochs=2), monkeypatch)
    backbone = [name for name in states[0] if name.startswith("backbone.encoder")]
    assert all(torch.equal(states[2][name], states[0][name]) for name in backbone)
    assert any(not torch.equal(states[-1][name], states[2][name]) for name in backbone)


def test_finetuning_starts_from_the_pretrained_backbone_with_its_pooler(
    bert: Any, make_rows: Any, tmp_path: Path, parameters_of: Any
) -> None:
    pretrained = train(bert.job((bert.objective("masked-lm"), make_rows(60)))).net
    folder = tmp_path / "pretrained"
    folder.mkdir()
    pretrained.save(folder)
    trained = parameters_of(pretrained)
    assert [name for name in trained if "pooler" in name]
    tuned = bert.model.build(folder, bert.preprocessor, {"main": bert.task.head(bert.facts)})
    for name, weight in parameters_of(tuned).items():
        if name.startswith("backbone."):
            assert torch.equal(weight, trained[name]), name


@pytest.mark.parametrize("family", ["bert", "gpt"])
def test_a_later_stage_picks_up_all_heads(
    benches: Any, make_rows: Any, tmp_path: Path, parameters_of: Any, family: str
) -> None:
    bench = benches[family]
    language = {"bert": "masked-lm", "gpt": "causal-lm"}[family]
    parts = [(bench.objective("classification"), make_rows(32)), (bench.objective(language), make_rows(60, seed=3))]
    net = train(bench.job(*parts, optimizer=AdamW(type="adamw", lr=1e-3))).net
    folder = tmp_path / "joint"
    folder.mkdir()
    net.save(folder)
    specs = {"main": bench.task.head(bench.facts), language: HeadSpec(language)}
    for names in (["main", language], ["main"], [language]):
        again = bench.model.build(folder, bench.preprocessor, {name: specs[name] for name in names})
        assert again.new_heads == frozenset()
        for name, weight in parameters_of(again).items():
            assert torch.equal(weight, parameters_of(net)[name]), (names, name)


def test_a_stage_in_between_keeps_the_heads_that_it_does_not_train(bert: Any, make_rows: Any, tmp_path: Path) -> None:
    """Fine-tune, adapt the backbone with a language model, fine-tune on: the classifier must not start anew."""
    job = bert.job((bert.objective("masked-lm"), make_rows(60)))
    job.heads = {"main": bert.task.head(bert.facts), **job.heads}  # as the pipeline carries it along
    between = train(job).net
    folder = tmp_path / "between"
    folder.mkdir()
    between.save(folder)
    last = bert.model.build(folder, bert.preprocessor, {"main": bert.task.head(bert.facts)})
    classifier = dict(last.named_parameters())["_heads.head_main.classifier.weight"]
    assert torch.equal(classifier, bert.weights()["_heads.head_main.classifier.weight"])


def test_saved_folders_hold_no_pickle(bert: Any) -> None:
    names = {file.name for file in bert.start.rglob("*") if file.is_file()}
    assert "model.safetensors" in names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pth", ".pkl"))]


@pytest.mark.parametrize(("family", "head"), [("bert", "causal-lm"), ("gpt", "masked-lm")])
def test_an_objective_that_does_not_fit_the_model_is_refused(benches: Any, family: str, head: str) -> None:
    bench = benches[family]
    with pytest.raises(PluginError, match=f"{family} has the heads .*found '{head}'.*masked-lm fits the model `bert`"):
        bench.model.build(bench.start, bench.preprocessor, {head: HeadSpec(head)})


@pytest.mark.parametrize(
    ("type_", "weights", "said"),
    [
        ("gpt", "bert", r"is an encoder \(bert\), whose tokens see both sides; write `type: bert`"),
        ("bert", "gpt", r"is a decoder \(gpt2\), whose tokens see only what precedes them; write `type: gpt`"),
    ],
)
def test_weights_of_the_other_family_are_refused(benches: Any, type_: str, weights: str, said: str) -> None:
    """A classifier would be built of either, and would not be what the recipe says."""
    other = benches[weights]
    spec = HeadSpec("sequence-classification", size=2, labels=("neg", "pos"))
    with pytest.raises(PluginError, match=said):
        benches[type_].model.build(other.start, other.preprocessor, {"main": spec})
