"""Pre-training from nothing, as a recipe."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hft_core

CONFIG = {"hidden_size": 32, "num_attention_heads": 2}


@pytest.fixture
def recipe(texts: list[str], tmp_path: Path) -> Callable[..., Path]:
    """Give ``recipe(folder, model, objective, **stage)``: pre-training on 300 texts."""

    def write(folder: str, model: dict[str, Any], objective: dict[str, Any], **stage: Any) -> Path:
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        (place / "corpus.txt").write_text("\n".join(texts), encoding="utf-8")
        own = {
            "stage": "pretrain", "objectives": [{"data": "corpus"} | objective], "epochs": 2,
            "optimizer": {"type": "adamw", "lr": 3e-3},
        }  # fmt: skip
        content = {
            "name": "new",
            "data": {"corpus": {"type": "text", "path": "corpus.txt"}},
            "model": {"max_length": 48} | model,
            "stages": [own | stage],
            "evaluate": {"metrics": [{"type": "perplexity"}]},
            "precision": "fp32",
        }
        file = place / "recipe.yaml"
        file.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
        return file

    return write


def scratch(kind: str, size: int = 250, **more: Any) -> dict[str, Any]:
    return {"scratch": "tiny", "tokenizer": {"type": kind, "size": size}, "config": CONFIG} | more


@pytest.mark.parametrize(
    ("model", "objective"),
    [
        pytest.param({"type": "t5", "source": scratch("unigram")}, {"type": "span-corruption"}, id="t5"),
        pytest.param(
            {"type": "bert", "source": scratch("unigram")}, {"type": "masked-lm", "whole_words": True}, id="bert"
        ),
        pytest.param(
            {"type": "gpt", "source": scratch("bpe", 320, architecture="llama")}, {"type": "causal-lm"}, id="llama"
        ),
    ],
)
def test_a_model_from_nothing_learns_its_text(model: Any, objective: Any, recipe: Any, tmp_path: Path) -> None:
    run = hft_core.run(recipe("a", model, objective, epochs=4))
    [stage] = json.loads((run.folder / "report.json").read_text("utf-8"))["stages"]
    measured = [point["validation"] for point in stage["curves"] if "validation" in point]
    assert len(measured) == 5  # before training, and after each epoch
    losses = [figures[f"{objective['type']} loss"] for figures in measured]
    assert losses[-1] < losses[0] - 0.5
    assert measured[-1]["perplexity"] == pytest.approx(2.718281828 ** losses[-1], rel=1e-6)

    from transformers import AutoModel, AutoTokenizer

    net: Any = AutoModel.from_pretrained(run.model)
    assert net.config.vocab_size == len(AutoTokenizer.from_pretrained(run.model))
    # It goes on from there, as it was left.
    further = recipe("b", {"type": model["type"], "source": str(run.folder)}, objective, epochs=1)
    [stage] = json.loads((hft_core.run(further).folder / "report.json").read_text("utf-8"))["stages"]
    again = stage["curves"][0]["validation"][f"{objective['type']} loss"]
    assert again == pytest.approx(min(losses), abs=0.02)


def test_a_t5_that_crashed_ends_with_the_same_weights(
    recipe: Any, crash_at: Callable[[int, Callable[[], object]], None]
) -> None:
    """With dropout, and batches in pieces."""
    model = {"type": "t5", "source": scratch("unigram")}
    stage = {"batch_size": 32, "micro_batch": 12, "checkpoint_minutes": 0}

    def run(folder: str) -> Any:
        return hft_core.run(recipe(folder, model, {"type": "span-corruption"}, **stage))

    whole = run("whole")
    for step in (3, 11):
        crash_at(step, lambda: run("crashed"))
    again = run("crashed")
    assert (whole.model / "model.safetensors").read_bytes() == (again.model / "model.safetensors").read_bytes()


@pytest.mark.slow
def test_new_tokens_in_a_run_to_the_bundle(tiny: Any, tmp_path: Path) -> None:
    """A finished run's model gets new tokens, is trained further, exported, and predicts with them."""
    first = hft_core.run(tiny.write())
    strange = "鑫鑫 zyxwvut"
    with (tiny.folder / "corpus.txt").open("w", encoding="utf-8") as stream:
        stream.write("\n".join([strange] * 40))
    tiny.recipe |= {
        "name": "longer",
        "model": {"type": "bert", "source": str(first.folder), "extend_vocabulary": {"size": 3}},
        "export": [{"type": "onnx"}],
    }
    tiny.recipe["data"]["corpus"] = {"type": "text", "path": "corpus.txt"}
    tiny.recipe["stages"].insert(
        0, {"stage": "pretrain", "objectives": [{"type": "masked-lm", "data": "corpus"}], "epochs": 1}
    )
    run = hft_core.run(tiny.write())
    from tokenizers import Tokenizer

    [inner] = [Tokenizer.from_file(str(file)) for file in run.bundle.rglob("tokenizer.json")]
    ids = inner.encode(strange).ids
    assert {inner.token_to_id("鑫"), inner.token_to_id("zyxwvut")} <= set(ids)
    assert len(ids) == 5  # [CLS], three, [SEP]
    config = json.loads((run.model / "config.json").read_text("utf-8"))
    assert config["vocab_size"] == inner.get_vocab_size()
    assert [set(one) >= {"label", "score"} for one in run.predict([strange, "good"])] == [True, True]
    from hft_core.runtime import load

    assert load(run.bundle).predict([strange]) == run.predict([strange])
