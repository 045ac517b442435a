"""Training that cannot go on: exit codes 5 and 6, nothing kept that is wrong, nothing lost that is right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def objects(tmp_path: Path) -> set[str]:
    return {folder.name for folder in (tmp_path / "store" / "objects").iterdir()}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_learning_rate_that_explodes(
    precision: str, tiny: Any, hft_here: Callable[..., Any], refused: Callable[..., None], tmp_path: Path
) -> None:
    tiny.recipe["precision"] = precision
    tiny.recipe["stages"][0]["optimizer"]["lr"] = 1e9
    tiny.recipe["stages"][0]["epochs"] = 20
    outcome = hft_here("run", tiny.write())
    refused(
        outcome,
        "non-finite",
        "step ",
        "nan",
        "Rows of this step: classification: lines train ",
        "Lower the learning rate",
    )
    assert not (tiny.folder / "runs" / "tiny").exists()
    finished = objects(tmp_path)
    assert len(finished) == 5  # prepare train and validation, checks, preprocessor, encode
    # The next attempt starts from them, with the rate that was advised.
    outcome = hft_here("run", tiny.write(), "--set", "stages.0.optimizer.lr=1e-3", "--set", "stages.0.epochs=1")
    assert outcome.code == 0, outcome.err
    assert outcome.err.count("in the store already") == 5


def test_weights_that_are_not_numbers(
    tiny: Any, hft_here: Callable[..., Any], refused: Callable[..., None], tmp_path: Path
) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    assert hft_here("run", tiny.write(), "--out", tmp_path / "first").code == 0
    weights = tmp_path / "first" / "model" / "model.safetensors"
    tensors = load_file(weights)
    tensors["bert.embeddings.word_embeddings.weight"][:] = torch.nan
    weights.unlink()  # a link into the store
    save_file(tensors, weights, metadata={"format": "pt"})
    tiny.recipe["model"]["source"] = str(tmp_path / "first" / "model")
    outcome = hft_here("run", tiny.write())
    refused(outcome, "non-finite", "objective classification: the loss is nan before the first step")
    assert "Warning" not in outcome.err


def test_a_step_that_does_not_fit_into_memory(
    tiny: Any, hft_here: Callable[..., Any], refused: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Injected: the message that torch's allocator gives."""
    from hft_plugins.text_classification.objective import Classification

    def loss(self: Any, net: Any, batch: Any) -> Any:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: you tried")

    monkeypatch.setattr(Classification, "loss", loss)
    outcome = hft_here("run", tiny.write())
    refused(outcome, "memory", "a step of 32 rows", "does not fit into memory", "`micro_batch: 16`")


def test_masked_words_without_a_mask(tiny: Any, hft_here: Callable[..., Any], refused: Callable[..., None]) -> None:
    tiny.recipe["model"] = {"type": "gpt", "source": {"scratch": "tiny", "tokenizer": {"type": "bpe", "size": 300}}}
    tiny.recipe["stages"].insert(0, {"stage": "pretrain", "objectives": [{"type": "masked-lm", "data": "train"}]})
    refused(hft_here("run", tiny.write()), "plugin", "the tokenizer has no mask token; use causal-lm")


def test_a_class_that_the_metric_does_not_find(
    tiny: Any, hft_here: Callable[..., Any], refused: Callable[..., None]
) -> None:
    tiny.recipe["evaluate"] = {"metrics": [{"type": "f1", "average": "binary", "positive": "yes"}]}
    refused(hft_here("run", tiny.write()), "recipe", "metric f1: ", "one of neg, pos; found 'yes'")
