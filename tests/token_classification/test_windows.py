"""The text preprocessor's windows, against what the tokenizer itself gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from hft_core import Ragged


@pytest.mark.parametrize("kind", ["wordpiece", "bpe"])
@pytest.mark.parametrize("overlap", [0, 1, 5])
def test_windows_are_those_of_the_tokenizer(kind: str, overlap: int, make_rows: Any, make_encoder: Any) -> None:
    texts = make_rows(60, longest=20)["text"]
    preprocessor = make_encoder(kind, texts, 16)
    arrays = preprocessor.windows(texts, overlap, offsets=True)
    tokenizer = Tokenizer.from_str(preprocessor.tokenizer.to_str())
    tokenizer.enable_truncation(16, stride=overlap)
    wanted = [(row, part) for row, text in enumerate(texts) for part in _parts(tokenizer.encode(text))]
    assert arrays["row"].tolist() == [row for row, _ in wanted]
    for entry, (_, part) in enumerate(wanted):
        assert arrays["input_ids"][entry].tolist() == part.ids
        assert arrays["offsets"][entry].tolist() == [list(span) for span in part.offsets]
    plain = preprocessor.windows(texts, overlap)
    assert set(plain) == {"input_ids", "row"}
    assert (plain["input_ids"].values == arrays["input_ids"].values).all()


def _parts(encoding: Any) -> list[Any]:
    return [encoding, *encoding.overflowing]


@pytest.mark.parametrize("kind", ["wordpiece", "bpe"])
def test_a_great_overlap_is_half_a_window(kind: str, make_encoder: Any) -> None:
    text = " ".join(["one two three"] * 30)
    preprocessor = make_encoder(kind, [text], 14)
    window = 12 if kind == "wordpiece" else 14
    arrays = preprocessor.windows([text], 10**6, offsets=True)
    starts = [next(start for start, end in spans if end) for spans in _rows(arrays["offsets"])]
    whole = preprocessor.windows([text], offsets=True)["offsets"]
    places = [tuple(span) for spans in _rows(whole) for span in spans if span[1]]
    assert starts == [start for start, _ in places][:: window // 2][: len(starts)]
    assert {tuple(span) for spans in _rows(arrays["offsets"]) for span in spans if span[1]} == set(places)


def _rows(ragged: Ragged) -> list[Any]:
    return [ragged[row].tolist() for row in range(len(ragged))]


def test_a_text_without_tokens_is_one_token_of_no_place(make_encoder: Any) -> None:
    preprocessor = make_encoder("bpe", ["abc"])
    arrays = preprocessor.windows(["", "abc"], offsets=True)
    assert arrays["row"].tolist() == [0, 1]
    assert (arrays["input_ids"][0] == preprocessor.encode([""])["input_ids"][0]).all()
    assert arrays["offsets"][0].tolist() == [[0, 0]]
    assert np.array_equal(arrays["offsets"].offsets, arrays["input_ids"].offsets)
