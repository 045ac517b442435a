"""Questions on contexts in English, Chinese and emoji, and preprocessors of the two tokenizers that hft trains."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hft_core import Columns, Ragged
from hft_core.runtime.text import TextPreprocessor
from hft_plugins.question_answering.task import QuestionAnswering
from hft_plugins.transformers import tokenizer

ANSWERS = [
    "Anna",
    "José María",
    "北京大学",
    "吴重阳",
    "👩‍👩‍👧 Lu",
    "Zoe\u0308",
    "1,200 km",
    "O'Neill",
    "𠮷野家",
    "São Paulo",
]
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
    "e\u0301 ",
]


def rows(count: int, seed: int = 0, longest: int = 12) -> Columns:
    """Contexts of 1 to `longest` answers with something else between any two, and one of them as the answer."""
    draw = random.Random(seed)
    columns: Columns = {"context": [], "question": [], "answers": []}
    for _ in range(count):
        text, spans = draw.choice(["x ", "他", " "]), []
        for _ in range(draw.randint(1, longest)):
            answer = draw.choice(ANSWERS)
            spans.append({"start": len(text), "end": len(text) + len(answer), "text": answer})
            text += answer + "".join(draw.choices(FILLER, k=draw.randint(1, 5)))
        columns["context"].append(text)
        columns["question"].append(draw.choice(["Who?", "谁在北京？", "Where is it 😀 ?"]))
        columns["answers"].append([draw.choice(spans)])
    return columns


def encoder(kind: str, texts: list[str], max_length: int = 512, size: int = 600) -> TextPreprocessor:
    """A tokenizer trained on `texts`."""
    trained = tokenizer.train(kind, size, texts)
    return tokenizer.for_scratch(trained, "bert" if kind == "wordpiece" else "gpt", max_length)


def perfect(task: QuestionAnswering, columns: Columns, arrays: Any, facts: Any) -> dict[str, Any]:
    """What a model would give that has learned the targets by heart."""
    labels = np.asarray(task.targets(columns, arrays, facts)["labels"])
    tokens = arrays["input_ids"].offsets
    outputs = {}
    for side, name in enumerate(("start_logits", "end_logits")):
        values = np.zeros(tokens[-1], np.float32)
        known = labels[:, side] >= 0
        values[(tokens[:-1] + labels[:, side])[known]] = 20
        outputs[name] = Ragged(values, tokens)
    return outputs


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
        task = QuestionAnswering(type="question-answering", **settings)
        facts = task.learn([columns])
        arrays = task.encode(columns, preprocessor, facts)
        outputs = perfect(task, columns, arrays, facts)
        return task.decode(columns, arrays, outputs, facts), task.truths(columns, facts)

    return trip
