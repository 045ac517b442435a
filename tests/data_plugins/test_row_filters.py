"""The row filters near-duplicates, language, repetition, symbols, header-rows and label-noise."""

from __future__ import annotations

import random
from typing import Any

import pytest

from hft_core import DataError, Roles, detect_languages
from hft_plugins.cleaners.header_rows import HeaderRowFilter
from hft_plugins.cleaners.label_noise import LabelNoiseFilter
from hft_plugins.cleaners.language import LanguageFilter
from hft_plugins.cleaners.near_duplicates import NearDuplicates
from hft_plugins.cleaners.noise import RepetitionFilter, SymbolFilter

ROLES = Roles(text=("text",), target=("label",))


def reasons(row_filter: Any, *batches: dict[str, list[Any]], roles: Roles = ROLES) -> list[list[str | None]]:
    return list(row_filter.reasons(iter(batches), roles))


def test_near_duplicates() -> None:
    near = NearDuplicates(type="near-duplicates", threshold=0.7)
    first = {
        "text": ["The battery lasts two days, really.", "送餐很快，味道也不错，下次还会再来的", None, "!!!"],
        "label": ["1", "1", "0", "0"],
    }
    second = {
        "text": ["the battery lasts TWO days - really!", "送餐很快，味道也不错，下次还会再来的！！", "", "味道一般"],
        "label": ["1", "0", "1", "0"],
    }
    assert reasons(near, first, second) == [[None] * 4, ["near-duplicate", None, None, None]]
    any_target = NearDuplicates(type="near-duplicates", threshold=0.7, same_target=False)
    assert reasons(any_target, first, second)[1] == ["near-duplicate", "near-duplicate", None, None]
    assert reasons(any_target, first | {"label": ["x"] * 4}, roles=Roles(text=("text",))) == [[None] * 4]
    assert reasons(any_target) == []


def test_a_row_like_a_dropped_one_stays() -> None:
    """Similarity does not carry over: each row that goes is like one that stays."""
    words = [f"word{number}x" for number in range(40)]
    texts = [" ".join(words[start : start + 30]) for start in (0, 3, 6)]
    found = reasons(NearDuplicates(type="near-duplicates", threshold=0.75), {"text": texts, "label": ["a"] * 3})
    assert found == [[None, "near-duplicate", None]]


def test_near_duplicates_of_pairs_need_both_columns_alike() -> None:
    context = "一段很长的文字，讲的是这座城市的历史、地理、气候以及人们的生活方式" * 3
    batch = {"context": [context, context, context + "。"], "question": ["人口有多少？", "气候怎么样？", "人口有多少"]}
    roles = Roles(text=("context", "question"))
    assert reasons(NearDuplicates(type="near-duplicates"), batch, roles=roles) == [[None, None, "near-duplicate"]]


def test_language() -> None:
    pytest.importorskip("py3langid")
    batch = {
        "text": [
            "This is a plain English sentence about the weather.",
            "这家餐厅的味道真的很不错，下次还会再来",
            "Das ist ein ganz gewöhnlicher Satz über das Wetter.",
            "ok",
            "12345 !!!",
            None,
        ]
    }
    found = reasons(LanguageFilter(type="language", keep=["zh", "en"]), batch, roles=Roles(text=("text",)))
    assert found == [[None, None, "language-de", None, None, None]]
    assert reasons(LanguageFilter(type="language", keep=["de"]), batch, roles=Roles(text=("text",))) == [
        ["language-en", "language-zh", None, None, None, None]
    ]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("送来的时候已经凉了，味道一般。", "zh"), ("iPhone 用了两天就坏了", "zh"), ("優の良品，很好吃的一家店，下次还来", "zh"),
        ("とてもおいしいラーメンでした", "ja"), ("배달이 빨라요", "ko"), ("I like 饺子 very much", "en"), ("12 !", "und"),
    ],
)  # fmt: skip
def test_a_script_that_says_the_language(text: str, language: str) -> None:
    [(found, probability)] = detect_languages([text])
    assert (found, probability > 0.5) == (language, True)


def test_repetition() -> None:
    roles = Roles(text=("text",))
    batch = {
        "text": [
            "buy now and save money today! " * 10,
            "没有送水没有送水" * 8,
            "哈哈哈哈哈哈",
            "The quick brown fox jumps over the lazy dog while the sun is setting behind the hills.",
            "味道不错，送餐也很快，就是有点咸，希望下次可以少放点盐，总体来说还是很满意的，包装也比较用心，推荐给大家尝一尝。",
            None,
        ]
    }
    assert reasons(RepetitionFilter(type="repetition"), batch, roles=roles) == [
        ["repetition", "repetition", None, None, None, None]
    ]
    share = RepetitionFilter(type="repetition", ngram=2)._share
    assert share("abab") == pytest.approx(0.5)  # the second ab
    assert share("aaaa") == pytest.approx(0.75)  # stretches overlap, characters count once
    assert share("abcd") == 0


def test_symbols() -> None:
    batch = {
        "text": ["!!! *** ### $$$ a", "很好吃！！！", "==========很好", "हिन्दी में लिखा", "a-b c/d 12.5 % ok", "😀😀"]
    }
    assert reasons(SymbolFilter(type="symbols"), batch, roles=Roles(text=("text",))) == [
        ["symbols", None, "symbols", None, None, None]
    ]


def test_header_rows() -> None:
    batch = {"评论": ["很好", " 评论", "评论"], "标签": ["1", "标签", "1"]}
    roles = Roles(text=("评论",), target=("标签",))
    assert reasons(HeaderRowFilter(type="header-rows"), batch, roles=roles) == [[None, "header-as-row", None]]


@pytest.mark.parametrize("chinese", [False, True])
def test_label_noise(chinese: bool) -> None:
    draw = random.Random(0)
    good, bad = (
        (["很好", "满意", "喜欢"], ["难吃", "失望", "太慢"]) if chinese else (["great", "lovely"], ["awful", "poor"])
    )
    filler = list("今天外卖商家送到店里味道") if chinese else ["the", "film", "plot", "today", "again"]
    join = "" if chinese else " "
    texts, labels = [], []
    for number in range(200):
        words = [*draw.sample(filler, 4), draw.choice(good if number % 2 else bad)]
        texts.append(join.join(draw.sample(words, 5)))
        labels.append("pos" if number % 2 else "neg")
    wrong = [10, 51, 102, 153]
    for row in wrong:
        labels[row] = "neg" if labels[row] == "pos" else "pos"
    [found] = reasons(LabelNoiseFilter(type="label-noise", maximum=0.02), {"text": texts, "label": labels})
    assert [row for row, reason in enumerate(found) if reason == "doubtful-label"] == wrong
    assert len(found) == 200


def test_label_noise_needs_one_label_a_row() -> None:
    row_filter = LabelNoiseFilter(type="label-noise")
    assert reasons(row_filter, {"text": ["a", "b"]}, roles=Roles(text=("text",))) == [[None, None]]
    assert reasons(row_filter, {"text": ["a", "b"], "label": ["x", "x"]}) == [[None, None]]
    with pytest.raises(DataError, match="one label per row"):
        reasons(row_filter, {"text": ["a"], "label": [[]]})
