"""Greedy decoding and beam search from the graph equal the library's own, token by token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from hft_core import NonFiniteError, RecipeError
from hft_core.runtime.generation import Decoding, State, left_padded, write
from hft_core.training.inference import torch_call
from hft_plugins.text_generation import runtime

from .conftest import TEXTS, Decoder

NEW = 16


def settings(new_tokens: int = NEW, **decoding: Any) -> dict[str, Any]:
    return {"text": "text", "new_tokens": new_tokens, "decoding": decoding}


def encoded(decoder: Decoder, texts: Sequence[str]) -> dict[str, Any]:
    return runtime.encode(settings(), {"text": list(texts)}, decoder.preprocessor, {})


def padded(decoder: Decoder, arrays: dict[str, Any], side: str) -> dict[str, Any]:
    ids = arrays["input_ids"]
    return {
        "input_ids": ids.padded(decoder.preprocessor.pad_id, side=side, dtype=np.int64),
        "attention_mask": ids.mask(side=side).astype(np.int64),
        "end": arrays["end"],
        "key": arrays["key"],
        **({"answer": arrays["answer"]} if "answer" in arrays else {}),
    }


def generated(decoder: Decoder, texts: Sequence[str], end: int, **how: Any) -> list[list[int]]:
    """What transformers writes for one left-padded batch."""
    batch = padded(decoder, encoded(decoder, texts), "left")
    with torch.no_grad():
        whole = decoder.library.generate(
            input_ids=torch.from_numpy(batch["input_ids"]), attention_mask=torch.from_numpy(batch["attention_mask"]),
            do_sample=False, max_new_tokens=NEW, eos_token_id=end, pad_token_id=decoder.preprocessor.pad_id, **how,
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
@pytest.mark.parametrize(
    ("beams", "penalty", "early"), [(2, 1.0, False), (4, 1.0, False), (4, 0.0, True), (3, 0.5, False), (5, -1.0, False)]
)
@pytest.mark.parametrize("ends", ["never", "often"])
def test_beams_write_what_transformers_writes(
    decoder: Decoder, beams: int, penalty: float, early: bool, ends: str, backend: str
) -> None:
    end = decoder.preprocessor.special["eos"]
    if ends == "often":  # a token that some beams write early, and others later
        end = generated(decoder, TEXTS, end)[1][2]
    how = {"num_beams": beams, "length_penalty": penalty, "early_stopping": early}
    wanted = generated(decoder, TEXTS, end, **how)
    assert ends == "never" or len({len(row) for row in wanted}) > 1
    assert wanted != generated(decoder, TEXTS, end)  # otherwise greedy decoding would do
    batch = padded(decoder, encoded(decoder, TEXTS), "right") | {"end": np.full(len(TEXTS), end)}
    ours = settings(beams=beams, length_penalty=penalty, early_stopping=early)
    outputs = runtime.predict(ours, calls(decoder)[backend], batch, {})
    assert [outputs["written"][row].tolist() for row in range(len(TEXTS))] == wanted
    assert (outputs["margin"] >= 0).all()
    assert (outputs["margin"] < 10).all()


@pytest.mark.parametrize("backend", ["onnx", "torch"])
def test_the_texts_own_likelihood(decoder: Decoder, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hft_core.runtime.generation._PIECE", 5)  # texts are read in pieces
    arrays = encoded(decoder, TEXTS)
    batch = padded(decoder, arrays, "right")
    found = runtime.predict(settings(1), calls(decoder)[backend], batch, {})
    assert found["tokens"].tolist() == arrays["input_ids"].lengths.tolist()  # all but the first, and the end
    for row, nll in enumerate(found["nll"].tolist()):
        closed = np.append(arrays["input_ids"][row], decoder.preprocessor.special["eos"])
        assert nll == pytest.approx(likelihood(decoder, closed, 1), rel=1e-5, abs=1e-5)
    endless = runtime.predict(settings(1), calls(decoder)[backend], batch | {"end": np.full(len(TEXTS), -1)}, {})
    assert endless["tokens"].tolist() == (arrays["input_ids"].lengths - 1).tolist()
    for row, nll in enumerate(endless["nll"].tolist()):
        assert nll == pytest.approx(likelihood(decoder, arrays["input_ids"][row], 1), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("backend", ["onnx", "torch"])
def test_the_likelihood_of_answers(decoder: Decoder, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hft_core.runtime.generation._PIECE", 5)
    end = decoder.preprocessor.special["eos"]
    answers = ["好", "", "the dog ran to the door and barked", "ok", "菜很好吃"]
    task = settings(10) | {"answer": "answer", "write": False}
    arrays = runtime.encode(task, {"text": TEXTS, "answer": answers}, decoder.preprocessor, {})
    assert arrays["answer"][1] == (end,)
    assert len(arrays["answer"][2]) == 10  # cut to what may be written, so without the end
    found = runtime.predict(task, calls(decoder)[backend], padded(decoder, arrays, "right"), {})
    assert "written" not in found
    for row, nll in enumerate(found["nll"].tolist()):
        whole = np.concatenate([arrays["input_ids"][row], arrays["answer"][row]])
        assert nll == pytest.approx(likelihood(decoder, whole, len(arrays["input_ids"][row])), rel=1e-5, abs=1e-5)
    predictions = runtime.decode(task, {}, arrays, found, {})
    assert [one["tokens"] for one in predictions] == [len(answer) for answer in arrays["answer"]]
    unanswered = runtime.encode(task | {"write": True}, {"text": TEXTS}, decoder.preprocessor, {})
    found = runtime.predict(task | {"write": True}, calls(decoder)[backend], padded(decoder, unanswered, "right"), {})
    assert set(runtime.decode(task | {"write": True}, {}, unanswered, found | {"text": TEXTS}, {})[0]) == {
        "text",
        "margin",
    }


def likelihood(decoder: Decoder, ids: Any, first: int) -> float:
    """Of the tokens from the one with the number `first` on, each after all before it."""
    tokens = torch.from_numpy(np.asarray(ids, np.int64))[None]
    with torch.no_grad():
        likelihoods = decoder.library(tokens).logits.double().log_softmax(-1)[0]
    return -likelihoods[first - 1 : -1].gather(1, tokens[0, first:, None]).sum().item()


def test_a_continuation_is_what_both_say_beyond_the_text(decoder: Decoder) -> None:
    arrays = encoded(decoder, TEXTS)
    outputs = runtime.predict(settings(), decoder.onnx, padded(decoder, arrays, "right"), {})
    outputs = runtime.postprocess(settings(), arrays, outputs, decoder.preprocessor, {})
    predictions = runtime.decode(settings(), {}, arrays, outputs, {})
    ids = [arrays["input_ids"][row].tolist() + outputs["written"][row].tolist() for row in range(len(TEXTS))]
    wholes = [decoder.preprocessor.tokenizer.decode(row) for row in ids]
    assert [text + made["text"] for text, made in zip(TEXTS, predictions, strict=True)] == wholes
    assert [made["tokens"] for made in predictions] == arrays["input_ids"].lengths.tolist()


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
    state = State(lambda *_, **__: outputs, "model", "input_ids", outputs, np.ones((1, 1), np.int64), grows=True)
    with pytest.raises(NonFiniteError):
        write(state, 2, np.array([-1]), Decoding())
