"""A decoder end to end: causal language modelling, classification, export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch


def test_a_decoder_is_pretrained_finetuned_and_exported(make_project: Any, make_rows: Any, write_rows: Any) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    project = make_project("gpt", family="gpt")
    project.recipe["stages"][1] |= {"epochs": 6}
    for name, count, seed in (("train", 96, 1), ("dev", 110, 2), ("test", 60, 3)):
        # The last token decides, which is where a decoder's classifier looks: learnt in a few steps.
        rows = [(f"{text} {'good' if label == 'pos' else 'bad'}", label) for text, label in make_rows(count, seed)]
        write_rows(project.folder / f"{name}.csv", rows)
    run = project.run(export=[{"type": "onnx"}])
    assert run.metrics["test"]["accuracy"] > 0.7
    model = AutoModelForSequenceClassification.from_pretrained(run.model).eval()
    tokenizer = AutoTokenizer.from_pretrained(run.model)
    assert model.config.model_type == "gpt2"
    assert model.config.id2label == {0: "neg", 1: "pos"}
    texts = ["good film", "the meal was awful 很差 and we said so", "这 家 店 的 菜 好"]
    with torch.no_grad():
        scores = model(**tokenizer(texts, padding=True, return_tensors="pt")).logits.softmax(1).numpy()
    for row, prediction in enumerate(run.predict(texts)):
        assert np.allclose(list(prediction["scores"].values()), scores[row], atol=1e-4)


@pytest.mark.slow
def test_a_classifier_on_a_decoder_without_a_token_for_padding(tmp_path: Path, make_rows: Any, write_rows: Any) -> None:
    """As GPT-2 comes from the hub: padded with its end of text, on the right, and each row's last own token decides."""
    import transformers

    import hft_core
    from hft_plugins.transformers import tokenizer as tokenizers

    for name, count, seed in (("train", 96, 1), ("dev", 40, 2)):
        rows = [(f"{text} {'good' if label == 'pos' else 'bad'}", label) for text, label in make_rows(count, seed)]
        write_rows(tmp_path / f"{name}.csv", rows)
    own = tokenizers.train("bpe", 320, [text for text, _ in make_rows(96, 1)], "gpt")
    end = own.token_to_id("<|endoftext|>")
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=own.get_vocab_size(), n_embd=64, n_layer=2, n_head=2, n_positions=128, bos_token_id=end,
        eos_token_id=end, pad_token_id=None,
    )  # fmt: skip
    transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path / "start")
    own.save(str(tmp_path / "start" / "tokenizer.json"))
    said = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|endoftext|>"}
    (tmp_path / "start" / "tokenizer_config.json").write_text(json.dumps(said), encoding="utf-8")
    recipe = {
        "name": "padless",
        "data": {"train": {"type": "csv", "path": "train.csv"}, "validation": {"type": "csv", "path": "dev.csv"}},
        "task": {"type": "text-classification"},
        "model": {"type": "gpt", "source": "./start"},
        "stages": [
            {
                "stage": "finetune", "objectives": [{"type": "task", "data": "train"}], "epochs": 8,
                "optimizer": {"type": "adamw", "lr": 2e-3},
            }
        ],
        "export": [{"type": "onnx"}],
        "precision": "fp32",
    }  # fmt: skip
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe), encoding="utf-8")
    run = hft_core.run(tmp_path / "recipe.yaml")
    assert run.metrics["validation"]["accuracy"] > 0.9
    model = transformers.AutoModelForSequenceClassification.from_pretrained(run.model).eval()
    words = transformers.AutoTokenizer.from_pretrained(run.model)
    texts = ["good", "the meal was awful 很差 and we said so bad", "这 家 店 的 菜 很好 good"]
    for text, prediction in zip(texts, run.predict(texts), strict=True):
        with torch.no_grad():
            alone = model(**words([text], return_tensors="pt")).logits.softmax(1)[0].tolist()
        assert list(prediction["scores"].values()) == pytest.approx(alone, abs=1e-4)
