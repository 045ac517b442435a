"""Greedy decoding from the graph equals the library's own, token by token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from hft_core import NonFiniteError, RecipeError
from hft_core.runtime.generation import greedy, left_padded
from hft_core.training.inference import torch_call
from hft_plugins.text_generation import runtime

from .conftest import TEXTS, Decoder

NEW = 16


def settings(new_tokens: int = NEW) -> dict[str, Any]:
    return {"text": "text", "new_tokens": new_tokens}


def encoded(decoder: Decoder, texts: Sequence[str]) -> dict[str, Any]:
    return runtime.encode(settings(), {"text": list(texts)}, decoder.preprocessor, {})


def padded(decoder: Decoder, arrays: dict[str, Any], side: str) -> dict[str, Any]:
    ids = arrays["input_ids"]
    return {
        "input_ids": ids.padded(decoder.preprocessor.pad_id, side=side, dtype=np.int64),
        "attention_mask": ids.mask(side=side).astype(np.int64),
        "end": arrays["end"],
    }


def generated(decoder: Decoder, texts: Sequence[str], end: int) -> list[list[int]]:
    """What transformers writes for one left-padded batch."""
    batch = padded(decoder, encoded(decoder, texts), "left")
    with torch.no_grad():
        whole = decoder.library.generate(
            input_ids=torch.from_numpy(batch["input_ids"]), attention_mask=torch.from_numpy(batch["attention_mask"]),
            do_sample=False, max_new_tokens=NEW, eos_token_id=end, pad_token_id=decoder.preprocessor.pad_id,
        )  # fmt: skip
    rows = whole[:, batch["input_ids"].shape[1] :].tolist()
    return [row[: row.index(end)] if end in row else row for row in rows]


def calls(decoder: Decoder) -> dict[str, Any]:
    return {"onnx": decoder.onnx, "torch": torch_call(decoder.net, "main")}


@pytest.mark.parametrize("backend", ["onnx", "torch"])
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("texts", [TEXTS, TEXTS[2:3], TEXTS[:1]], ids=["five", "one", "one token"])
def test_it_writes_what_transformers_writes(decoder: Decoder, texts: list[str], side: str, backend: str) -> None:
    end = decoder.preprocessor.special["eos"]
    batch = padded(decoder, encoded(decoder, texts), side)
    found = runtime.predict(settings(), calls(decoder)[backend], batch, {})["written"]
    wanted = generated(decoder, texts, end)
    assert [found[row].tolist() for row in range(len(texts))] == wanted
    assert len({tuple(row) for row in wanted}) == len(texts)  # otherwise it would be no test


@pytest.mark.parametrize("backend", ["onnx", "torch"])
def test_rows_end_one_by_one(decoder: Decoder, backend: str) -> None:
    whole = generated(decoder, TEXTS, decoder.preprocessor.special["eos"])
    end = whole[1][4]  # what the second row writes fifth ends it, and others that write it
    wanted = generated(decoder, TEXTS, end)
    assert len({len(row) for row in wanted}) > 1
    batch = padded(decoder, encoded(decoder, TEXTS), "right") | {"end": np.full(len(TEXTS), end)}
    found = runtime.predict(settings(), calls(decoder)[backend], batch, {})["written"]
    assert [found[row].tolist() for row in range(len(TEXTS))] == wanted


@pytest.mark.parametrize("backend", ["onnx", "torch"])
def test_the_texts_own_likelihood(decoder: Decoder, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hft_core.runtime.generation._PIECE", 5)  # texts are read in pieces
    arrays = encoded(decoder, TEXTS)
    found = runtime.predict(settings(1), calls(decoder)[backend], padded(decoder, arrays, "right"), {})["nll"]
    for row, nll in enumerate(found.tolist()):
        ids = torch.from_numpy(arrays["input_ids"][row].astype(np.int64))[None]
        with torch.no_grad():
            likelihoods = decoder.library(ids).logits.double().log_softmax(-1)[0]
        wanted = -likelihoods[:-1].gather(1, ids[0, 1:, None]).sum().item()
        assert nll == pytest.approx(wanted, rel=1e-5, abs=1e-5)
    assert np.count_nonzero(found) == sum(arrays["input_ids"].lengths > 1)


def test_a_continuation_is_what_both_say_beyond_the_text(decoder: Decoder) -> None:
    arrays = encoded(decoder, TEXTS)
    outputs = runtime.predict(settings(), decoder.onnx, padded(decoder, arrays, "right"), {})
    outputs = runtime.postprocess(settings(), arrays, outputs, decoder.preprocessor, {})
    predictions = runtime.decode(settings(), {}, arrays, outputs, {})
    ids = [arrays["input_ids"][row].tolist() + outputs["written"][row].tolist() for row in range(len(TEXTS))]
    wholes = [decoder.preprocessor.tokenizer.decode(row) for row in ids]
    assert [text + made["text"] for text, made in zip(TEXTS, predictions, strict=True)] == wholes
    assert [made["tokens"] for made in predictions] == [length - 1 for length in arrays["input_ids"].lengths]


def test_of_a_long_text_the_beginning_is_cut(decoder: Decoder) -> None:
    text = " ".join(f"n{number} 菜" for number in range(200))
    whole = decoder.preprocessor.tokenizer.encode(text)
    arrays = encoded(decoder, [text, "short"])
    every = [token for part in (whole, *whole.overflowing) for token in part.ids]
    assert arrays["input_ids"][0].tolist() == every[-(128 - NEW) :]
    assert decoder.preprocessor.encode([text])["input_ids"][0].tolist() == every[:128]  # as before
    with pytest.raises(RecipeError, match="new_tokens 128 leaves no room"):
        runtime.encode(settings(128), {"text": ["a"]}, decoder.preprocessor, {})


def test_left_padding_closes_holes() -> None:
    ids, mask = left_padded(np.array([[5, 0, 6, 7], [1, 2, 3, 0]]), np.array([[1, 0, 1, 1], [1, 1, 1, 0]]))
    assert ids.tolist() == [[0, 5, 6, 7], [0, 1, 2, 3]]
    assert mask.tolist() == [[0, 1, 1, 1], [0, 1, 1, 1]]


def test_logits_that_are_not_numbers() -> None:
    outputs = {"logits": np.full((1, 1, 3), np.nan, np.float32), "cache": None}
    with pytest.raises(NonFiniteError):
        greedy(lambda *_, **__: outputs, outputs, np.ones((1, 1), np.int64), 2, np.array([-1]))
