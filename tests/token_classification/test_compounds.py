"""Addresses, mentions and hashtags are one word each, unless entities of the training rows divide them."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from hft_core import Ragged
from hft_plugins.token_classification.compounds import continued, undivided
from hft_plugins.token_classification.task import TokenClassification
from hft_plugins.token_classification.words import words

ALL = ["address", "mention", "hashtag"]


def pieces(text: str, kinds: list[str] = ALL) -> list[str]:
    """The compounds of a text."""
    found, goes_on = [], continued(text, kinds)
    for place in range(len(text)):
        if goes_on[place]:
            if not goes_on[place - 1]:
                found.append(text[place - 1])
            found[-1] += text[place]
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@paulwalk saw #StarWars, at http://t.co/x?a=1&b=é now", ["@paulwalk", "#StarWars", "http://t.co/x?a=1&b=é"]),
        ("mail jo.doe@example.co.uk or www.example.com", ["jo.doe@example.co.uk", "www.example.com"]),
        ("see <https://a.b/c> and (HTTPS://D.E)", ["https://a.b/c", "HTTPS://D.E"]),
        (
            "see https://a.b. (https://x.com/a),Bob and https://w.org/a_(b)_c!",
            ["https://a.b", "https://x.com/a", "https://w.org/a_(b)_c"],
        ),
        (
            "联系张三zhang@a.com吧，见https://t.cn/abc，iPhone（https://t.cn/x）Apple",
            ["zhang@a.com", "https://t.cn/abc", "https://t.cn/x"],
        ),
        ("感谢@bob的，喜欢#iPhone很好，안녕@kim", ["@bob", "#iPhone", "@kim"]),
        ("#हिन्दी_दिवस @مُحَمَّد_علي", ["#हिन्दी_दिवस", "@مُحَمَّد_علي"]),
        ("@Олег_1 и #Москва", ["@Олег_1", "#Москва"]),
        ("a @ b, C# and F#, 5 # 3, &#39; x##y", []),
        ("@张三 去了 #上海", []),  # Chinese characters stay words of their own
        ("看http://t.cn/a8x这里，@bob你好", ["http://t.cn/a8x", "@bob"]),
        ("nothing of the kind", []),
        ("", []),
    ],
)
def test_what_is_a_compound(text: str, expected: list[str]) -> None:
    assert pieces(text) == expected


@pytest.mark.parametrize("run", ["." * 100_000, "a_1" * 30_000, "-" * 100_000, "@" * 50_000, "https://" * 9_000])
def test_long_runs_take_no_long_time(run: str) -> None:
    began = time.process_time()
    continued(f"{run} #x", ALL)
    assert time.process_time() - began < 5, "quadratic, it would take minutes"


def test_only_the_kinds_that_are_asked_for() -> None:
    assert pieces("@a1 #b2 http://c", ["hashtag"]) == ["#b2"]
    assert pieces("@a1 #b2 http://c", []) == []


def test_a_kind_that_an_entity_divides_is_no_word() -> None:
    def entity(start: int, end: int) -> dict[str, Any]:
        return {"start": start, "end": end, "type": "person"}

    assert undivided([("#Obama and @bob", [entity(0, 6), entity(11, 15)])]) == ALL, "they begin and end with it"
    assert undivided([("#Obama and @bob", [entity(1, 6)])]) == ["address", "mention"]
    assert undivided([("#Obama and @bob", [entity(0, 13)])], ["mention", "hashtag"]) == ["hashtag"], "one ends within"


@pytest.mark.parametrize("kind", ["wordpiece", "bpe"])
def test_a_compound_gets_one_tag(kind: str, make_encoder: Any) -> None:
    texts = ["@anna met Ben #Rome https://x.org/Ben end", "@张三 met Ben"]
    preprocessor = make_encoder(kind, texts, 64)
    arrays = preprocessor.windows(texts, offsets=True)
    offsets = arrays["offsets"]
    assert isinstance(offsets, Ragged)

    def found(compounds: list[str]) -> list[str]:
        whole = words(texts, offsets, np.asarray(arrays["row"]), compounds)
        joined = "\n".join(texts)
        return [joined[start:end] for start, end in zip(whole.start, whole.end, strict=True)]

    tail = ["@", "张", "三", "met", "Ben"]
    assert found(ALL)[:6] == ["@anna", "met", "Ben", "#Rome", "https://x.org/Ben", "end"]
    if kind == "wordpiece":  # others may join Chinese characters, or bytes of them
        assert found(ALL)[6:] == tail
    assert found([])[:5] == ["@", "anna", "met", "Ben", "#"]


def test_entities_within_hashtags_come_back(make_encoder: Any, round_trip: Any) -> None:
    """With the sign or without it, as the rows have it."""
    rows = [f"so #{name} won again @{name}" for name in ("Rome", "Oslo", "Bern")]
    for offset in (0, 1):
        columns = {
            "text": rows,
            "entities": [[{"start": 3 + offset, "end": 8, "type": "place"}] for _ in rows],
        }
        facts = TokenClassification(type="token-classification").learn([columns])
        assert ("hashtag" in facts["compounds"]) == (offset == 0)
        found, true = round_trip(columns, make_encoder("wordpiece", rows, 64))
        assert found == true
