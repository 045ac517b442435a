"""Texts with entities in English, Chinese and emoji, and preprocessors of the two tokenizers that hft trains."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hft_core import Columns, Ragged
from hft_core.runtime.text import TextPreprocessor
from hft_plugins.token_classification.task import TokenClassification
from hft_plugins.transformers import tokenizer

NAMES = {
    "person": ["Anna", "José María", "吴重阳", "O'Neill", "Zoë-Lu", "安娜", "Frank 2nd"],
    "place": ["Paris", "New  York City", "北京大学", "São Paulo", "St. Gallen", "上海", "😀ville"],
}
FILLER = [
    " met ",
    " in ",
    "在",
    "，",
    "。",
    " and 2 ",
    " 😀 ",
    "在👍🏽在",
    "\n",
    "住 ",
    " (",
    ") ",
    "!? ",
    " \u200b ",
    "  ",
]


def rows(count: int, seed: int = 0, longest: int = 12) -> Columns:
    """Texts of 1 to `longest` names with something else between any two of them, and the names as entities."""
    draw = random.Random(seed)
    columns: Columns = {"text": [], "entities": []}
    for _ in range(count):
        text, entities = draw.choice(["", "x ", "他", " "]), []
        for _ in range(draw.randint(1, longest)):
            kind = draw.choice(sorted(NAMES))
            name = draw.choice(NAMES[kind])
            entities.append({"start": len(text), "end": len(text) + len(name), "type": kind})
            text += name + draw.choice(FILLER[:7])
            text += "".join(draw.choices(FILLER, k=draw.randint(0, 5)))
        columns["text"].append(text)
        columns["entities"].append(entities)
    return columns


def encoder(kind: str, texts: list[str], max_length: int = 512, size: int = 400) -> TextPreprocessor:
    """A tokenizer trained on `texts`."""
    trained = tokenizer.train(kind, size, texts)
    return tokenizer.for_scratch(trained, "bert" if kind == "wordpiece" else "gpt", max_length)


def perfect(task: TokenClassification, columns: Columns, arrays: Any, facts: Any) -> dict[str, Any]:
    """What a model would give that has learned the targets by heart, and says anything where there is none."""
    labels = task.targets(columns, arrays, facts)["labels"]
    assert isinstance(labels, Ragged)
    tags = len(facts["labels"])
    anything = np.random.default_rng(0).integers(tags, size=len(labels.values))
    logits = np.eye(tags, dtype=np.float32)[np.where(labels.values < 0, anything, labels.values)] * 20
    return {"logits": Ragged(logits, labels.offsets)}


def without_extras(predictions: list[Any]) -> list[Any]:
    """Predictions in the form of truths."""
    return [
        {"entities": [{key: one[key] for key in ("start", "end", "type")} for one in prediction["entities"]]}
        for prediction in predictions
    ]


@pytest.fixture(scope="session")
def make_rows() -> Callable[..., Columns]:
    return rows


@pytest.fixture(scope="session")
def make_encoder() -> Callable[..., TextPreprocessor]:
    return encoder


@pytest.fixture(scope="session")
def round_trip() -> Callable[..., tuple[list[Any], list[Any]]]:
    """Give ``round_trip(columns, preprocessor, **settings)``: what perfect logits are decoded to, and the truths."""

    def trip(columns: Columns, preprocessor: TextPreprocessor, **settings: Any) -> tuple[list[Any], list[Any]]:
        task = TokenClassification(type="token-classification", **settings)
        facts = task.learn([columns])
        arrays = task.encode(columns, preprocessor, facts)
        outputs = perfect(task, columns, arrays, facts)
        return without_extras(task.decode(columns, arrays, outputs, facts)), task.truths(columns, facts)

    return trip
