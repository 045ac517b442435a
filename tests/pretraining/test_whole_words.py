"""Whole-word masking: pieces of a word share their fate, at the rate of single tokens."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from hft_core import RowRandom
from hft_core.runtime.ragged import take
from hft_plugins.transformers.masked_lm import MaskedLM


def masked(**settings: Any) -> MaskedLM:
    return MaskedLM.model_validate({"type": "masked-lm", "data": "corpus", "whole_words": True} | settings)


def words_of(preprocessor: Any, stream: Any, text: str, **settings: Any) -> list[str]:
    """The words of a text as their tokens joined, special tokens left out."""
    arrays = masked(**settings).encode({"text": [text]}, stream(preprocessor))
    assert arrays["words"].lengths.tolist() == arrays["input_ids"].lengths.tolist()
    words: dict[int, str] = {}
    for token, word in zip(arrays["input_ids"][0].tolist(), arrays["words"][0].tolist(), strict=True):
        if token not in preprocessor.special.values():
            words[word] = words.get(word, "") + preprocessor.tokenizer.decode([token]).replace("##", "").strip()
    return list(words.values())


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram"])
def test_pieces_of_a_word_are_one(kind: str, made: Any, stream: Any) -> None:
    text = "unwalking believers talked nobody. slowly the filmy"
    preprocessor = made(kind, "bert")
    pieces = len(preprocessor.tokenizer.encode(text).ids) - 2
    found = words_of(preprocessor, stream, text)
    assert "".join(found) == text.replace(" ", "")
    assert found == ["unwalking", "believers", "talked", "nobody", ".", "slowly", "the", "filmy"]
    assert pieces > len(found) + 5


@pytest.mark.parametrize("kind", ["wordpiece", "bpe"])
def test_words_are_those_of_the_tokenizer(kind: str, made: Any, stream: Any, texts: list[str]) -> None:
    preprocessor = made(kind, "bert")
    english = texts[::2]
    arrays = masked().encode({"text": english}, stream(preprocessor))
    for row, text in enumerate(english):
        theirs = [word for word in preprocessor.tokenizer.encode(text).word_ids if word is not None]
        assert arrays["words"][row][1:-1].tolist() == theirs


def test_chinese_characters_of_wordpiece_are_one_word_each(made: Any, stream: Any) -> None:
    assert words_of(made("wordpiece", "bert"), stream, "味道不错，the 菜") == [*"味道不错，", "the", "菜"]


def test_chinese_pieces_of_unigram_are_one_word_each(made: Any, stream: Any) -> None:
    preprocessor = made("unigram", "bert")
    pieces = [token.strip("▁") for token in preprocessor.tokenizer.encode("下次还会再来").tokens[1:-1]]
    assert words_of(preprocessor, stream, "下次还会再来") == [piece for piece in pieces if piece]


def test_bytes_of_one_character_are_one_word(made: Any, stream: Any) -> None:
    preprocessor = made("bpe", "bert")
    arrays = masked().encode({"text": ["鑫鑫"]}, stream(preprocessor))
    assert arrays["words"][0].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]  # three bytes each, between [CLS] and [SEP]


def test_segmented_text_has_words_between_spaces(made: Any, stream: Any) -> None:
    preprocessor = made("wordpiece", "bert")
    assert words_of(preprocessor, stream, "味道 不错 ， the菜", whole_words="spaces") == ["味道", "不错", "，", "the菜"]


def batch_of(preprocessor: Any, stream: Any, texts: list[str], epoch: int = 0, chosen: Any = None) -> Any:
    objective, context = masked(), stream(preprocessor)
    arrays = objective.encode({"text": texts}, context)
    rows = np.arange(len(arrays["row"])) if chosen is None else np.array(chosen)
    return take(arrays, rows), objective.batch(take(arrays, rows), RowRandom(epoch, rows), context)


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram"])
def test_the_rate_is_that_of_tokens_and_no_word_is_half_hidden(
    kind: str, made: Any, stream: Any, texts: list[str]
) -> None:
    preprocessor = made(kind, "bert", size=150 if kind != "bpe" else 280)  # small, so that words have many pieces
    maskable = hidden = half = 0
    fates: list[int] = []
    for epoch in range(40):
        arrays, batch = batch_of(preprocessor, stream, texts[::2], epoch)
        ids = arrays["input_ids"].padded(preprocessor.pad_id)
        can = (batch["attention_mask"] == 1) & ~np.isin(ids, list(preprocessor.special.values()))
        is_hidden = np.zeros(ids.size, bool)
        is_hidden[batch["positions"]] = True
        is_hidden = is_hidden.reshape(ids.shape)
        assert not (is_hidden & ~can).any()
        maskable, hidden = maskable + int(can.sum()), hidden + int(is_hidden.sum())
        words = arrays["words"].padded(0) + 1000 * np.arange(len(ids))[:, None]
        some = np.unique(words[can & is_hidden])
        half += len(np.intersect1d(some, np.unique(words[can & ~is_hidden])))
        fates += (batch["input_ids"].reshape(-1)[batch["positions"]] == preprocessor.special["mask"]).tolist()
        assert (batch["targets"] == ids.reshape(-1)[batch["positions"]]).all()
    assert half == 0
    assert abs(hidden / maskable - 0.15) < 0.01
    assert abs(np.mean(fates) - 0.8) < 0.02  # drawn token by token, not word by word


def test_masks_are_a_function_of_epoch_and_row(made: Any, stream: Any, texts: list[str]) -> None:
    preprocessor = made("wordpiece", "bert")
    _, together = batch_of(preprocessor, stream, texts, epoch=3)
    for row in (5, 0, 77):
        arrays, alone = batch_of(preprocessor, stream, texts, epoch=3, chosen=[row])
        length = arrays["input_ids"].lengths[0]
        assert alone["input_ids"][0, :length].tolist() == together["input_ids"][row, :length].tolist()
    _, other = batch_of(preprocessor, stream, texts, epoch=4)
    assert together["positions"].tolist() != other["positions"].tolist()


def test_windows_of_a_long_text_have_their_own_words(made: Any, stream: Any, texts: list[str]) -> None:
    preprocessor = made("wordpiece", "bert", max_length=16)
    arrays = masked().encode({"text": [" ".join(texts[:9]), ""]}, stream(preprocessor))
    assert len(arrays["input_ids"]) > 5
    for entry in range(len(arrays["input_ids"])):
        words = arrays["words"][entry]
        assert words[0] == 0
        assert set(np.diff(words)) <= {0, 1}
        assert len(words) <= 16


def test_no_text_gives_no_words(made: Any, stream: Any) -> None:
    arrays = masked().encode({"text": []}, stream(made("wordpiece", "bert")))
    assert len(arrays["words"]) == len(arrays["input_ids"]) == 0


def test_whole_words_is_a_switch_or_spaces() -> None:
    assert masked(whole_words="spaces")
    with pytest.raises(ValidationError):
        masked(whole_words="chinese")
