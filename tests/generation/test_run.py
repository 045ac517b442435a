"""Text generation from recipe to bundle."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

PIECES = ["the cat sat on the mat", "the dog ran to the door", "猫坐在垫子上", "今天的菜很好吃"]


def write(file: Path, count: int, seed: int) -> None:
    draw = random.Random(seed)
    with file.open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream, lineterminator="\n")
        rows.writerow(["text", "id"])
        for number in range(count):
            rows.writerow([" ".join(draw.sample(PIECES, draw.randint(1, 3))) + f" n{seed}x{number}", number])


def project(folder: Path, **export: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "train.csv", 64, 1)
    write(folder / "dev.csv", 16, 2)
    finetune = {"stage": "finetune", "objectives": [{"type": "task", "data": "train"}], "epochs": 5, "batch_size": 8}
    recipe = {
        "name": "stories",
        "data": {"train": {"type": "csv", "path": "train.csv"}, "validation": {"type": "csv", "path": "dev.csv"}},
        "task": {"type": "text-generation", "new_tokens": 10},
        "model": {
            "type": "gpt",
            "source": {"scratch": "tiny", "tokenizer": {"type": "bpe", "size": 320}},
            "max_length": 64,
        },
        "stages": [finetune | {"optimizer": {"type": "adamw", "lr": 3e-3}}],
        "export": [{"type": "onnx", **export}],
        "precision": "fp32",
    }
    file = folder / "recipe.yaml"
    file.write_text(json.dumps(recipe, ensure_ascii=False, indent=1), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    import hft_core

    return hft_core.run(project(tmp_path_factory.mktemp("stories")))


def test_it_learns(run: Any) -> None:
    assert run.metrics["validation"]["perplexity"] < 60  # of 320 tokens


def test_the_bundle_writes_what_transformers_writes(run: Any, proven: Any) -> None:
    proven(run.bundle)
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(run.model).eval()
    tokenizer = AutoTokenizer.from_pretrained(run.model, padding_side="left")
    texts = ["the cat", "猫坐在", "今天的菜很好吃 the dog ran to", "n"]
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        made = model.generate(**batch, do_sample=False, max_new_tokens=10)
    wanted = tokenizer.batch_decode(made[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
    predictions = run.predict(texts)
    assert [prediction["text"] for prediction in predictions] == wanted
    for text, prediction in zip(texts, predictions, strict=True):
        ids = tokenizer(text + tokenizer.eos_token, return_tensors="pt")["input_ids"]
        assert prediction["tokens"] == ids.shape[1] - 1  # the end of the text is one of them
        with torch.no_grad():
            mean = model(ids, labels=ids).loss.item()
        assert prediction["nll"] == pytest.approx(mean * prediction["tokens"], rel=1e-4, abs=1e-4)


def test_its_figure_is_that_of_its_predictions(run: Any) -> None:
    with (run.folder.parents[1] / "dev.csv").open(encoding="utf-8") as stream:
        rows = run.predict([row["text"] for row in csv.DictReader(stream)])
    mean = sum(row["nll"] for row in rows) / sum(row["tokens"] for row in rows)
    assert np.exp(mean) == pytest.approx(run.metrics["validation"]["perplexity"], rel=1e-4)


@pytest.mark.slow
def test_8_bits_pass_or_are_refused(tmp_path: Path) -> None:
    import hft_core
    from hft_core.runtime import load

    file = project(tmp_path / "project", precisions=["fp32", "int8"])
    try:
        hft_core.run(file)
        wanted = ["fp32", "int8"]
    except hft_core.DamagedError as error:
        assert "int8 was not written: gate " in str(error)  # noqa: PT017  # either is right
        wanted = ["fp32"]
    bundle = load(tmp_path / "project" / "runs" / "stories")
    assert bundle.precisions == wanted
    assert bundle.verify()["rows"] == 12
