"""A decoder end to end: causal language modelling, classification, export."""

from __future__ import annotations

from typing import Any

import numpy as np
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
