"""Sampling: the same parts of the probability as in transformers, and draws that depend on text and seed only."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from transformers.generation.logits_process import (
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from hft_core.runtime.generation import Decoding, drawn, kept
from hft_plugins.text_generation import runtime
from hft_plugins.text_generation.decoding import DecodingSettings

from .conftest import TEXTS, Decoder
from .test_decoding import encoded, padded, settings

HOW = [(1.0, None, None), (0.7, 5, None), (1.5, None, 0.8), (0.9, 20, 0.95), (1.0, 1, None), (1.0, None, 1e-6)]


@pytest.mark.parametrize(("temperature", "top_k", "top_p"), HOW)
def test_what_is_kept_is_what_transformers_keeps(temperature: float, top_k: Any, top_p: Any) -> None:
    logits = np.random.default_rng(1).normal(0, 3, (50, 100))
    warpers = LogitsProcessorList([TemperatureLogitsWarper(temperature)])
    warpers += [TopKLogitsWarper(top_k)] if top_k else []
    warpers += [TopPLogitsWarper(top_p)] if top_p else []
    wanted = warpers(torch.zeros((50, 1), dtype=torch.long), torch.from_numpy(logits.copy())).numpy()
    found = kept(logits, Decoding(sample=True, temperature=temperature, top_k=top_k, top_p=top_p))
    assert (np.isfinite(found) == np.isfinite(wanted)).all()
    assert np.allclose(found, wanted)


def test_tokens_are_drawn_by_their_probability() -> None:
    logits = np.log(np.array([[0.5, 0.2, 0.3]]))
    draws = (np.arange(1000) + 0.5) / 1000
    tokens, margins = drawn(np.repeat(logits, 1000, axis=0), draws, Decoding(sample=True))
    assert np.bincount(tokens).tolist() == [500, 200, 300]
    assert margins.min() == pytest.approx(0.0005)
    assert margins[tokens == 0].max() == pytest.approx(0.25, abs=1e-3)  # in the middle of its part
    cold, _ = drawn(np.repeat(logits, 1000, axis=0), draws, Decoding(sample=True, temperature=0.1))
    assert np.bincount(cold, minlength=3)[0] > 990


def written(decoder: Decoder, texts: list[str], **how: Any) -> list[list[int]]:
    batch = padded(decoder, encoded(decoder, texts), "right")
    found = runtime.predict(settings(sample=True, **how), decoder.onnx, batch, {})["written"]
    return [found[row].tolist() for row in range(len(texts))]


def test_draws_depend_on_the_text_and_the_seed_only(decoder: Decoder) -> None:
    together = written(decoder, TEXTS, temperature=0.8)
    assert [written(decoder, [text], temperature=0.8)[0] for text in TEXTS] == together
    assert written(decoder, TEXTS[::-1], temperature=0.8) == together[::-1]
    other = written(decoder, TEXTS, temperature=0.8, seed=1)
    assert all(one != two for one, two in zip(together, other, strict=True))
    greedy = padded(decoder, encoded(decoder, TEXTS), "right")
    best = runtime.predict(settings(), decoder.onnx, greedy, {})["written"]
    assert written(decoder, TEXTS, top_k=1) == [best[row].tolist() for row in range(len(TEXTS))]


def test_a_recipe_says_what_the_runtime_reads() -> None:
    assert Decoding(**DecodingSettings().model_dump()) == Decoding()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"sample": True, "beams": 2}, "two ways to choose a token"),
        ({"temperature": 0.5}, "`temperature` is for sampling; set `sample: true`"),
        ({"top_p": 0.5, "beams": 3}, "`top_p` is for sampling"),
        ({"length_penalty": 2.0}, "`length_penalty` is for beam search; set `beams:` above 1"),
        ({"beams": 0}, "greater than or equal to 1"),
        ({"sample": True, "temperature": 0.0}, "greater than 0"),
        ({"sample": True, "top_p": 1.5}, "less than or equal to 1"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        DecodingSettings(**wrong)
