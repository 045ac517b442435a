"""Prompts: where the gap is, what words stand for which label, in English and Chinese; torch and numpy agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from hft_fewshot import prompt_runtime
from hft_fewshot.prompt import label_logits
from hft_fewshot.task import PromptClassification

from .conftest import VOCABULARY, preprocessor, words_of

FACTS = {"labels": ["neg", "pos"]}
ENGLISH = {"pattern": "{text} It was {gap}.", "verbalizers": {"neg": "bad", "pos": ["great", "good"]}}


def encoded(task: dict[str, Any], texts: list[str], facts: dict[str, Any] = FACTS, **tokenizer: Any) -> tuple[Any, Any]:
    made = preprocessor(**tokenizer)
    settings = PromptClassification.model_validate({"type": "prompt-classification"} | task).settings()
    return made, prompt_runtime.encode(settings, {"text": texts}, made, facts)


def test_a_pattern_behind_the_text() -> None:
    _, arrays = encoded(ENGLISH, ["a good film", "很好"])
    assert words_of(arrays["input_ids"][0]) == "[CLS] a good film it was [MASK] . [SEP]"
    assert words_of(arrays["input_ids"][1]) == "[CLS] 很 好 it was [MASK] . [SEP]"
    assert arrays["gap"].tolist() == [6, 5]
    words = arrays["words"][0]
    assert words.shape == (2, 2, 1)
    assert [words_of(words[0, :1, 0]), words_of(words[1, :, 0])] == ["bad", "great good"]
    assert words[0, 1, 0] == -1


def test_a_pattern_before_the_text_in_chinese_with_words_of_two_tokens() -> None:
    task = {"pattern": "{gap}新闻：{text}", "verbalizers": {"neg": "体育", "pos": "财经"}}
    _, arrays = encoded(task, ["很好", "很好很好很好很好很好"])
    assert words_of(arrays["input_ids"][0]) == "[CLS] [MASK] [MASK] 新 闻 [UNK] 很 好 [SEP]"
    assert arrays["gap"].tolist() == [1, 1]
    assert len(arrays["input_ids"][1]) == 12
    assert words_of(arrays["input_ids"][1])[-5:] == "[SEP]"
    assert [words_of(own[0]) for own in arrays["words"][0]] == ["体 育", "财 经"]


def test_chinese_words_of_one_token() -> None:
    task = {"pattern": "{text}。总之，很{gap}。", "verbalizers": {"neg": "差", "pos": "好"}}
    _, arrays = encoded(task, ["菜 good"])
    assert words_of(arrays["input_ids"][0]) == "[CLS] [UNK] good 。 总 之 ， 很 [MASK] 。 [SEP]"
    assert arrays["gap"].tolist() == [8]


def test_of_a_long_text_the_end_is_cut_never_the_pattern() -> None:
    _, arrays = encoded(ENGLISH, ["good " * 50])
    assert words_of(arrays["input_ids"][0]) == "[CLS] good good good good good good it was [MASK] . [SEP]"
    assert arrays["gap"].tolist() == [9]


def test_a_mask_token_in_the_text_is_not_taken_for_the_gap() -> None:
    _, arrays = encoded(ENGLISH, ["a [MASK] film"])
    assert words_of(arrays["input_ids"][0]) == "[CLS] a [MASK] film it was [MASK] . [SEP]"
    assert arrays["gap"].tolist() == [6]


@pytest.mark.parametrize("side", ["right", "left"])
def test_the_gap_is_found_behind_padding_and_both_sides_agree(side: str) -> None:
    task = {"pattern": "{text} {gap}.", "verbalizers": {"neg": ["体育"], "pos": ["财经", "很好"]}}
    made, arrays = encoded(task, ["a", "a good good film"], side=side)
    words = arrays["words"]
    padded = made.pad({name: array for name, array in arrays.items() if name != "row"})
    places = prompt_runtime.gaps(padded)
    mask = VOCABULARY.index("[MASK]")
    assert (np.take_along_axis(padded["input_ids"], places, axis=1) == mask).all()
    whole = np.random.default_rng(0).standard_normal((*padded["input_ids"].shape, len(VOCABULARY)))

    def call(graph: str, **inputs: Any) -> dict[str, Any]:
        assert set(inputs) == {"input_ids", "attention_mask"}
        return {"logits": whole}

    found = prompt_runtime.predict({}, call, padded, FACTS)["logits"]
    row, first = 1, places[1, 0]
    of = VOCABULARY.index
    wanted = [
        whole[row, first, of("体")] + whole[row, first + 1, of("育")],
        (
            whole[row, first, of("财")]
            + whole[row, first + 1, of("经")]
            + whole[row, first, of("很")]
            + whole[row, first + 1, of("好")]
        )
        / 2,
    ]
    assert found[row] == pytest.approx(wanted)
    in_torch = label_logits(torch.from_numpy(np.take_along_axis(whole, places[:, :, None], 1)), torch.from_numpy(words))
    assert in_torch.numpy() == pytest.approx(found)


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ({"verbalizers": {"neg": "bad", "pos": "很好"}}, "the same number of tokens.* 'bad' 1, '很好' 2"),
        ({"verbalizers": {"neg": "bad", "pos": "wunderbar"}}, "lacks the verbalizer 'wunderbar' of the label 'pos'"),
        ({"pattern": "{text} " + "it was " * 6 + "{gap}"}, "which leaves none of the model's 12 for a text"),
    ],
)
def test_what_the_vocabulary_does_not_allow_is_said(task: dict[str, Any], said: str) -> None:
    with pytest.raises(prompt_runtime.UnfitError, match=said):
        encoded(ENGLISH | task, ["a film"])


def test_words_behind_a_space_are_other_tokens_for_some_tokenizers() -> None:
    """With a byte-level vocabulary ` good` is not `good`: what stands in the pattern counts."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    from hft_core.runtime.text import TextPreprocessor

    words = ["<s>", "</s>", "<pad>", "<mask>", "good", "Ġgood", "Ġbad", "bad", "Ġis", "it", "Ġit", "Ġ"]
    letters = [letter for letter in "gobadits" if letter not in words]
    vocabulary = {word: index for index, word in enumerate([*words, *letters])}
    merges = [("g", "o"), ("go", "o"), ("goo", "d"), ("b", "a"), ("ba", "d"), ("i", "t"), ("i", "s")]
    merges += [("Ġ", "good"), ("Ġ", "bad"), ("Ġ", "is"), ("Ġ", "it")]
    for left, right in merges:
        vocabulary.setdefault(left + right, len(vocabulary))
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 1), ("<s>", 0), add_prefix_space=False)
    made = TextPreprocessor(
        tokenizer,
        {
            "max_length": 12,
            "pad_id": 2,
            "padding_side": "right",
            "inputs": ["input_ids"],
            "special": {"pad": 2, "mask": 3},
        },
    )
    task = PromptClassification.model_validate(
        {"type": "prompt-classification", "pattern": "{text} is {gap}", "verbalizers": {"neg": "bad", "pos": "good"}}
    )
    arrays = prompt_runtime.encode(task.settings(), {"text": ["it"]}, made, FACTS)
    names = {index: word for word, index in vocabulary.items()}
    assert [names[index] for index in arrays["input_ids"][0].tolist()] == ["<s>", "it", "Ġis", "<mask>", "</s>"]
    assert [names[int(index)] for index in arrays["words"][0, :, 0, 0]] == ["Ġbad", "Ġgood"]
