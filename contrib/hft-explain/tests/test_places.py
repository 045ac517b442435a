"""Tokens and the characters that they stand for: cut texts, pairs, windows, cleaned texts, characters of several tokens."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from hft_core import Edit
from hft_core.runtime.cleaning import clean
from hft_core.runtime.text import TextPreprocessor
from hft_explain.places import Piece, Text, pieces

TEXTS = ["the cat sat on the mat", "naïve café & more", "这家店的味道很好", "does the cat sit?"]


def text(value: str, *steps: Any, column: str = "text") -> Text:
    (cleaned,), (trail,) = clean([value], [(step, {}) for step in steps])
    return Text(column, cleaned, trail)


def shown(found: Sequence[Piece], texts: Sequence[Text]) -> list[str]:
    return [texts[piece.text].trail.original[piece.start : piece.end] for piece in found]


@pytest.fixture(scope="module")
def wordpiece() -> TextPreprocessor:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(TEXTS * 3, trainers.WordPieceTrainer(vocab_size=120, special_tokens=special))
    ids = {name: tokenizer.token_to_id(name) for name in special}
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])],
    )
    return TextPreprocessor(tokenizer, settings(ids["[PAD]"], cls=ids["[CLS]"], sep=ids["[SEP]"], unk=ids["[UNK]"]))


@pytest.fixture(scope="module")
def byte_level() -> TextPreprocessor:
    """Without special tokens; an emoji is several tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, special_tokens=["<end>"])
    tokenizer.train_from_iterator(TEXTS, trainer)
    return TextPreprocessor(tokenizer, settings(0, eos=0))


def settings(pad: int, **special: int) -> dict[str, Any]:
    inputs = ["input_ids", "attention_mask", "token_type_ids"]
    return {"max_length": 24, "pad_id": pad, "padding_side": "right", "inputs": inputs, "special": special}


@pytest.mark.parametrize("value", TEXTS)
def test_every_token_of_a_text_has_its_characters(value: str, wordpiece: TextPreprocessor) -> None:
    texts = [text(value)]
    found = pieces(wordpiece.encode([value]), 0, texts, wordpiece)
    assert "".join(shown(found, texts)) == value.replace(" ", "")
    tokens = [token for piece in found for token in piece.tokens]
    assert tokens == list(range(1, len(tokens) + 1))  # but for [CLS] and [SEP]


def test_text_that_was_cut(wordpiece: TextPreprocessor) -> None:
    texts = [text("the cat " * 30)]
    arrays = wordpiece.encode([texts[0].cleaned])
    found = pieces(arrays, 0, texts, wordpiece)
    assert len(arrays["input_ids"][0]) == 24
    assert found[0].start == 0
    assert "".join(shown(found, texts)) == ("the cat " * 30).replace(" ", "")[: sum(p.end - p.start for p in found)]
    assert [token for piece in found for token in piece.tokens] == list(range(1, 23))


@pytest.mark.parametrize("first", ["the cat", "the cat sat on the mat " * 3, ""])
def test_pair_of_which_both_say_the_same(first: str, wordpiece: TextPreprocessor) -> None:
    texts = [text(first, column="premise"), text("does the cat sit?", column="hypothesis")]
    arrays = wordpiece.encode([first], ["does the cat sit?"])
    found = pieces(arrays, 0, texts, wordpiece)
    types = arrays["token_type_ids"][0]
    assert all(types[token] == piece.text for piece in found for token in piece.tokens)
    assert "".join(shown([piece for piece in found if piece.text == 1], texts)) == "doesthecatsit?"
    assert bool(first) == any(piece.text == 0 for piece in found)


def test_window_of_a_context_behind_its_question(wordpiece: TextPreprocessor) -> None:
    """As question answering encodes: `offsets` are those of the context, the first text."""
    context = " ".join(TEXTS[:2]) * 3
    texts = [text(context, column="context"), text("does the cat sit?", column="question")]
    arrays = wordpiece.pair_windows(["does the cat sit?"], [context], overlap=4)
    assert len(arrays["input_ids"]) > 2
    for entry in range(len(arrays["input_ids"])):
        found = pieces(arrays, entry, texts, wordpiece)
        offsets = [(start, end) for start, end in arrays["offsets"][entry].tolist() if end > start]
        assert [(piece.start, piece.end) for piece in found if piece.text == 0] == offsets
        assert "".join(shown([piece for piece in found if piece.text == 1], texts)) == "doesthecatsit?"


def test_characters_of_several_tokens_are_one_piece(byte_level: TextPreprocessor) -> None:
    texts = [text("ok 👍🏽 好")]
    arrays = byte_level.encode([texts[0].cleaned])
    found = pieces(arrays, 0, texts, byte_level)
    assert "".join(shown(found, texts)) == "ok 👍🏽 好"
    assert sorted(token for piece in found for token in piece.tokens) == list(range(len(arrays["input_ids"][0])))
    assert max(len(piece.tokens) for piece in found) > 1
    for left, right in pairwise(found):
        assert left.end <= right.start


def test_places_are_those_of_what_the_user_gave(wordpiece: TextPreprocessor) -> None:
    """Cleaners ran before: `&amp;` became `&`, and a tag went."""

    def repaired(_: Any, values: list[str]) -> list[list[Edit]]:
        return [
            [Edit(v.index("&amp;"), v.index("&amp;") + 5, "&"), Edit(v.index("<b>"), v.index("<b>") + 3, "")]
            for v in values
        ]

    given = "the cat &amp; <b>the mat"
    texts = [text(given, SimpleNamespace(edits=repaired))]
    assert texts[0].cleaned == "the cat & the mat"
    found = pieces(wordpiece.encode([texts[0].cleaned]), 0, texts, wordpiece)
    assert "&amp;" in shown(found, texts)
    assert "".join(shown(found, texts)[-3:]).endswith("mat")


def test_characters_of_one_edit_stay_together(wordpiece: TextPreprocessor) -> None:
    def spelt_out(_: Any, values: list[str]) -> list[list[Edit]]:
        return [[Edit(4, 5, "cat sat")] for _ in values]

    texts = [text("the © on", SimpleNamespace(edits=spelt_out))]
    found = pieces(wordpiece.encode([texts[0].cleaned]), 0, texts, wordpiece)
    assert "".join(shown(found, texts)) == "the©on"
    (one,) = [piece for piece in found if piece.start == 4]
    assert len(one.tokens) == len(wordpiece.bare(["cat sat"])[0]) > 1


def test_text_of_nothing_has_no_pieces(wordpiece: TextPreprocessor) -> None:
    assert pieces(wordpiece.encode([""]), 0, [text("")], wordpiece) == []
    arrays = {"input_ids": np.array([[2, 3]])}
    assert pieces(arrays, 0, [text("the cat")], wordpiece) == []
