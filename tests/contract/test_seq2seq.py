"""A third party's sequence to sequence: two graphs, greedy decoding in numpy, text in and text out, from check to bundle."""

from __future__ import annotations

import csv
import gzip
import itertools
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

MAX_TOKENS = 24
Pairs = list[tuple[str, str]]

WORDS = ["red", "cat", "sits", "sun", "big"]
CHARACTERS = "猫狗山水"


@pytest.fixture(scope="module", autouse=True)
def installed(distribution: Any) -> Path:
    folder: Path = distribution("hft-seq2seq")
    return folder


def reversals() -> Pairs:
    """All orders of three words, and of three Chinese characters, each with its reverse; shuffled."""
    words = [(" ".join(some), " ".join(reversed(some))) for some in itertools.permutations(WORDS, 3)]
    chinese = [("".join(some), "".join(reversed(some))) for some in itertools.permutations(CHARACTERS, 3)]
    pairs = words * 4 + chinese * 4
    random.Random(0).shuffle(pairs)
    return pairs


def write(file: Path, pairs: Sequence[tuple[str, str]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, lineterminator="\n").writerows([("source", "target"), *pairs])


def project(folder: Path, train: Pairs, validation: Pairs, **stage: Any) -> Path:
    """A recipe of a fresh model on these pairs."""
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "train.csv", train)
    write(folder / "dev.csv", validation)
    finetune = {
        "stage": "finetune",
        "objectives": [{"type": "task", "data": "train"}],
        "epochs": 1,
        "optimizer": {"type": "adamw", "lr": 5e-3},
    }
    recipe = {
        "name": "pairs",
        "data": {"train": {"type": "csv", "path": "train.csv"}, "validation": {"type": "csv", "path": "dev.csv"}},
        "task": {"type": "text-to-text", "max_tokens": MAX_TOKENS},
        "model": {"type": "tiny-t5"},
        "stages": [finetune | stage],
        "export": [{"type": "onnx"}],
        "precision": "fp32",
    }
    file = folder / "recipe.yaml"
    file.write_text(json.dumps(recipe, ensure_ascii=False, indent=1), encoding="utf-8")
    return file


def generated(model: Path, texts: Sequence[str]) -> list[str]:
    """What transformers' own greedy generation writes, row by row."""
    from tokenizers import Tokenizer
    from transformers import T5ForConditionalGeneration

    net = T5ForConditionalGeneration.from_pretrained(model).eval()
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    made = []
    for text in texts:
        ids = torch.tensor([tokenizer.encode(text).ids])
        written = net.generate(ids, do_sample=False, num_beams=1, max_new_tokens=MAX_TOKENS)
        made.append(tokenizer.decode(written[0].tolist(), skip_special_tokens=True))
    return made


@pytest.fixture(scope="module")
def reversing(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A finished run of the synthetic task."""
    import hft_core

    pairs = reversals()
    return hft_core.run(project(tmp_path_factory.mktemp("reversing"), pairs[:240], pairs[240:], epochs=40))


def test_it_learns_to_reverse(reversing: Any) -> None:
    assert reversing.metrics["validation"]["exact-text"] > 0.9
