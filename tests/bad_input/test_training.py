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


def test_the_last_good_checkpoint_is_kept(
    tiny: Any,
    hft_here: Callable[..., Any],
    refused: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same stage goes on from it when it is well again; a stage with other data begins anew, and leaves it alone."""
    from hft_plugins.text_classification.objective import Classification

    loss, computed = Classification.loss, 0

    def broken(self: Any, net: Any, batch: Any) -> Any:
        nonlocal computed
        computed += 1
        found = loss(self, net, batch)
        return type(found)(found.sum * (float("nan") if computed == 2 + 3 else 1), found.outputs)

    tiny.recipe["stages"][0] |= {"batch_size": 10, "checkpoint_minutes": 0}
    assert hft_here("run", tiny.write(), "--out", tmp_path / "whole", HFT_STORE=str(tmp_path / "other")).code == 0
    with monkeypatch.context() as patch:
        patch.setattr(Classification, "loss", broken)
        refused(hft_here("run", tiny.write()), "non-finite", "step 3: ", "Nothing was changed by it", "lines train ")

    def checkpoints() -> list[str]:
        return sorted(folder.name for folder in (tmp_path / "store" / "work").glob("*/step-*"))

    assert checkpoints() == ["step-000000001", "step-000000002"]
    rows = (tiny.folder / "train.csv").read_text()
    (tiny.folder / "train.csv").write_text(rows.rpartition("n0x59")[0] + "n0x60,pos\n")
    outcome = hft_here("run", tiny.write())
    assert outcome.code == 0, outcome.err
    assert "continuing" not in outcome.err
    assert checkpoints() == ["step-000000001", "step-000000002"]
    (tiny.folder / "train.csv").write_text(rows)
    outcome = hft_here("run", tiny.write())
    assert outcome.code == 0, outcome.err
    assert "continuing at step 2 of 6" in outcome.err
    weights = [folder / "model" / "model.safetensors" for folder in (tmp_path / "whole", tiny.folder / "runs" / "tiny")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert checkpoints() == []


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
    refused(outcome, "memory", "a forward and backward pass of 1 row does not fit into memory", "lora")


def test_masked_words_without_a_mask(tiny: Any, hft_here: Callable[..., Any], refused: Callable[..., None]) -> None:
    from hft_plugins.transformers import tokenizer

    tokenizer.train("bpe", 300, ["a decoder's tokenizer"], "gpt").save(str(tiny.folder / "bpe.json"))
    tiny.recipe["model"] = {"type": "bert", "source": {"scratch": "tiny", "tokenizer": "bpe.json"}}
    tiny.recipe["stages"].insert(0, {"stage": "pretrain", "objectives": [{"type": "masked-lm", "data": "train"}]})
    refused(hft_here("run", tiny.write()), "plugin", "the tokenizer has no [MASK] token")


def test_a_class_that_the_metric_does_not_find(
    tiny: Any, hft_here: Callable[..., Any], refused: Callable[..., None]
) -> None:
    tiny.recipe["evaluate"] = {"metrics": [{"type": "f1", "average": "binary", "positive": "yes"}]}
    refused(hft_here("run", tiny.write()), "recipe", "metric f1: ", "one of neg, pos; found 'yes'")
