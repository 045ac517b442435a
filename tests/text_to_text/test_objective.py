"""The objective `seq2seq`: what it sums, and targets that do not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from hft_core import Arrays, DataError, Ragged, RowRandom, Stream
from hft_core.runtime.text import TextPreprocessor
from hft_plugins.text_to_text.objective import Seq2Seq
from hft_plugins.text_to_text.task import TextToText
from hft_plugins.transformers import tokenizer
from hft_plugins.transformers.sizes import config_of

ROWS = {"a": ["red cat", "猫狗", "sun"], "b": ["cat red sits", "狗猫山水", "the sun"]}
LONG = {name: [*values, "sun"] for name, values in ROWS.items()} | {"b": [*ROWS["b"], "猫狗 " * 20]}


@pytest.fixture(scope="module")
def preprocessor() -> TextPreprocessor:
    texts = [text for values in ROWS.values() for text in values]
    return tokenizer.for_scratch(tokenizer.train("bpe", 300, texts, "t5"), "t5", 16)


def stream(preprocessor: TextPreprocessor) -> Stream:
    task = TextToText(type="text-to-text", text="a", target="b", new_tokens=8)
    return Stream(preprocessor, task.roles(), task)


def encoded(preprocessor: TextPreprocessor, rows: dict[str, list[str]], **settings: Any) -> tuple[Seq2Seq, Arrays]:
    objective = Seq2Seq(type="seq2seq", data="train", **settings)
    return objective, objective.encode(rows, stream(preprocessor))


@pytest.mark.parametrize("architecture", ["t5", "bart", "marian"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_torchs_over_the_true_tokens(
    preprocessor: TextPreprocessor, architecture: str, smoothing: float
) -> None:
    from transformers import AutoModelForSeq2SeqLM

    torch.manual_seed(0)
    small = {"hidden_size": 32, "num_attention_heads": 2}
    model = AutoModelForSeq2SeqLM.from_config(config_of(architecture, "tiny", small, preprocessor)).eval()
    objective, arrays = encoded(preprocessor, ROWS, label_smoothing=smoothing)
    batch = objective.batch(arrays, RowRandom(0, arrays["row"]), stream(preprocessor))
    tensors = {name: torch.from_numpy(array) for name, array in batch.items()}

    def net(positions: torch.Tensor, **inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"logits": model(**inputs).logits.flatten(0, 1)[positions]}

    with torch.no_grad():
        found = objective.loss(net, tensors).sum.item()
        wanted = 0.0
        for row in range(3):
            labels = torch.from_numpy(arrays["labels"][row].astype(np.int64))[None]
            ids = torch.from_numpy(arrays["input_ids"][row].astype(np.int64))[None]
            logits = model(input_ids=ids, labels=labels).logits[0]  # the library moves labels on by itself
            wanted += torch.nn.functional.cross_entropy(
                logits, labels[0], label_smoothing=smoothing, reduction="sum"
            ).item()
    assert found == pytest.approx(wanted, rel=1e-4)
    assert objective.count(batch) == arrays["labels"].lengths.sum()


def test_a_target_that_is_too_long_stops_or_is_left_out(preprocessor: TextPreprocessor) -> None:
    with pytest.raises(
        DataError, match=r"1 of 4 training rows have a target of more than 16 tokens.*number 4.*`max_length:`"
    ):
        encoded(preprocessor, LONG)
    _, kept = encoded(preprocessor, LONG, too_long="skip")
    _, wanted = encoded(preprocessor, ROWS)
    assert kept.keys() == wanted.keys()
    assert np.asarray(kept["row"]).tolist() == [0, 1, 2]
    for name in ("input_ids", "labels"):
        assert isinstance(kept[name], Ragged)
        assert kept[name].values.tolist() == wanted[name].values.tolist()


def test_a_target_that_just_fits_is_whole(preprocessor: TextPreprocessor) -> None:
    [tokens] = preprocessor.bare(["猫狗 " * 20])
    text = preprocessor.tokenizer.decode(tokens[:15])  # and the end
    assert len(preprocessor.bare([text])[0]) == 15
    _, arrays = encoded(preprocessor, {"a": ["sun"], "b": [text]})
    assert arrays["labels"].lengths.tolist() == [16]
