"""Texts in two languages, and what an objective sees of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hft_core import Stream
from hft_core.components import Roles
from hft_plugins.transformers import tokenizer

ENGLISH = [
    *("the", "unhappy", "walker", "was", "walking", "slowly", "and", "talked"),
    *("about", "films", "that", "nobody", "believed", "in"),
]
CHINESE = ["这家店的菜很好吃", "味道不错", "送餐太慢了", "下次还会再来", "非常难吃"]


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """300 texts: English sentences, and Chinese ones without spaces."""
    random = np.random.default_rng(3)
    english = [" ".join(random.choice(ENGLISH, random.integers(3, 12))) + "." for _ in range(150)]
    chinese = ["，".join(random.choice(CHINESE, random.integers(1, 4))) for _ in range(150)]
    return [text for pair in zip(english, chinese, strict=True) for text in pair]


@pytest.fixture(scope="session")
def made(texts: list[str]) -> Callable[..., Any]:
    """Give ``made(kind, family, size=300, max_length=None)``: a preprocessor with a tokenizer trained on the texts."""

    def make(kind: str, family: str, size: int = 300, max_length: int | None = None) -> Any:
        return tokenizer.for_scratch(tokenizer.train(kind, size, texts, family), family, max_length)

    return make


@pytest.fixture(scope="session")
def stream() -> Callable[[Any], Stream]:
    """Give ``stream(preprocessor)``: a column `text` seen through it."""
    return lambda preprocessor: Stream(preprocessor, Roles(text=("text",)))
