"""Tiny random decoders whose next tokens differ from text to text, and a tokenizer of English and Chinese."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from hft_core import Graph, HeadSpec
from hft_core.runtime.session import OnnxCall
from hft_core.runtime.text import TextPreprocessor
from hft_plugins.onnx.trace import trace
from hft_plugins.transformers import tokenizer
from hft_plugins.transformers.build import fresh
from hft_plugins.transformers.models import Gpt
from hft_plugins.transformers.net import TransformersNet

TEXTS = [
    "猫",
    "the cat sat on the mat",
    "今天的菜很好吃，我们下次再来",
    "a dog 跑到门口 and barked at the door for a long while, until somebody came",
    "ok",
]
FAMILIES: dict[str, dict[str, Any]] = {
    "gpt2": {"initializer_range": 0.5},
    "llama": {"initializer_range": 0.5, "num_key_value_heads": 2},  # rotary positions, fewer keys than queries
}


@dataclass
class Decoder:
    """A net, its tokenizer, and the same as a graph."""

    net: TransformersNet
    preprocessor: TextPreprocessor
    graph: Graph
    file: Path
    onnx: OnnxCall

    @property
    def library(self) -> Any:
        """The library's own model, which generates by itself."""
        return self.net.heads["main"]


def random_net(family: str, vocabulary: int, end: int) -> TransformersNet:
    """Two layers of width 32 with random weights."""
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(
        family,
        vocab_size=vocabulary,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=128,
        pad_token_id=0,
        bos_token_id=end,
        eos_token_id=end,
        **FAMILIES[family],
    )
    head = fresh(HeadSpec("causal-lm"), config)
    return TransformersNet(head.base_model, {"main": head}, frozenset()).eval()


@pytest.fixture(scope="session")
def preprocessor() -> TextPreprocessor:
    return tokenizer.for_scratch(tokenizer.train("bpe", 320, TEXTS), "gpt", 128)


@pytest.fixture(scope="session", params=list(FAMILIES))
def decoder(request: Any, preprocessor: TextPreprocessor, tmp_path_factory: pytest.TempPathFactory) -> Decoder:
    make = lambda: random_net(request.param, preprocessor.vocabulary, preprocessor.special["eos"])  # noqa: E731
    [graph] = Gpt(type="gpt", source="anything").graphs(make(), "main")
    file = tmp_path_factory.mktemp(request.param) / "model.onnx"
    trace(graph, file, 20)
    return Decoder(make(), preprocessor, graph, file, OnnxCall({"model": file}))
