"""A toy net of word vectors whose training takes no time, and what an exporter gets of its run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers

from hft_core import Finished, Graph, Model, Net
from hft_core.runtime.text import TextPreprocessor
from hft_core.training.inference import torch_call
from hft_plugins.cleaners.unicode import UnicodeCleaner
from hft_plugins.metrics.classification import Accuracy
from hft_plugins.text_classification.task import TextClassification

WORDS = [
    "[PAD]",
    "[UNK]",
    *(f"good{i}" for i in range(10)),
    *(f"bad{i}" for i in range(10)),
    *"很好吃坏差的菜",
    "😀",
    "x",
]


class ToyNet(Net):
    """Mean of the word vectors where the mask is 1, two layers with dropout."""

    def __init__(self, size: int, labels: int):
        super().__init__()
        self.vectors = torch.nn.Embedding(size, 32)
        self.inner = torch.nn.Linear(32, 32)
        self.dropout = torch.nn.Dropout(0.5)
        self.outer = torch.nn.Linear(32, labels)

    def logits(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        mask = attention_mask[..., None].float()
        mean = (self.vectors(input_ids) * mask).sum(1) / mask.sum(1)
        return self.outer(self.dropout(torch.tanh(self.inner(mean))))  # type: ignore[no-any-return]

    def forward(self, head: str, **arrays: torch.Tensor) -> dict[str, torch.Tensor]:
        assert head == "main"
        return {"logits": self.logits(**arrays)}

    def parts(self) -> list[Any]:
        return []

    def save(self, folder: Path) -> None:
        raise NotImplementedError


class View(torch.nn.Module):
    """What is traced; `logits` can be replaced by a faulty one."""

    def __init__(self, net: ToyNet, logits: Callable[..., torch.Tensor]):
        super().__init__()
        self.net = net
        self.logits = logits

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.logits(self.net, input_ids, attention_mask),)


class ToyModel(Model):
    type: Literal["toy"]

    def preprocessor(self, start: Any, texts: Any) -> Any:
        raise NotImplementedError

    def build(self, start: Any, preprocessor: Any, heads: Any) -> Any:
        raise NotImplementedError

    def graphs(self, net: Any, head: str) -> list[Graph]:
        return [graph_of(net)]


def graph_of(net: ToyNet, logits: Callable[..., torch.Tensor] = ToyNet.logits) -> Graph:
    ids = np.arange(16, dtype=np.int64).reshape(2, 8)
    mask = np.ones((2, 8), np.int64)
    mask[1, 5:] = 0
    return Graph(
        name="model",
        module=View(net, logits),
        inputs={"input_ids": ("batch", "sequence"), "attention_mask": ("batch", "sequence")},
        outputs={"logits": ("batch", 2)},
        example={"input_ids": ids, "attention_mask": mask},
        maximum={"sequence": 64},
    )


@dataclass
class Toy:
    """A trained net and its run."""

    net: ToyNet
    run: Finished
    log: list[str] = field(default_factory=list)


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    generator = np.random.default_rng(0)
    texts, labels = [], []
    for row in range(120):
        kind = ("good", "bad")[row % 2]
        words = [f"{kind}{generator.integers(10)}" for _ in range(generator.integers(1, 12))]
        texts.append(" ".join(words))
        labels.append(kind)
    texts[:4] = ["很好吃 😀 good1", "差 bad2", "ｇｏｏｄ１", "bad3 " * 80]
    columns = {"text": texts, "label": labels}

    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    settings = {
        "max_length": 64,
        "pad_id": 0,
        "padding_side": "right",
        "inputs": ["input_ids", "attention_mask"],
        "special": {"pad": 0, "unk": 1},
    }
    preprocessor = TextPreprocessor(tokenizer, settings)
    task = TextClassification(type="text-classification", text="text", label="label")
    facts = task.learn([columns])

    torch.manual_seed(0)
    net = ToyNet(len(WORDS), 2)
    arrays = task.encode(columns, preprocessor, facts)
    targets = torch.from_numpy(np.asarray(task.targets(columns, arrays, facts)["labels"]))
    inputs = {k: torch.from_numpy(v) for k, v in preprocessor.pad(arrays).items() if k != "row"}
    optimizer = torch.optim.Adam(net.parameters(), 0.02)
    for _ in range(60):
        loss = torch.nn.functional.cross_entropy(net.logits(**inputs), targets)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return Toy(
        net,  # left in train mode, as a training loop may leave it
        Finished(
            name="toy",
            head="main",
            task=task,
            facts=facts,
            model=ToyModel(type="toy"),
            preprocessor=preprocessor,
            cleaners=[UnicodeCleaner(type="unicode", form="NFKC")],
            validation=columns,
            metrics=[Accuracy(type="accuracy")],
            call=torch_call(net, "main"),
            folder=tmp_path / "model",
            card={"accuracy": 0.5},
        ),
    )
