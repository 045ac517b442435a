"""The text cleaners mojibake, links, personal-data, width and chinese-script; those before them are in test_cleaners.py."""

from __future__ import annotations

import random
from typing import Any

import pytest

from hft_core import TextCleaner
from hft_core.runtime.edits import OffsetMap, apply, checked
from hft_plugins.cleaners.chinese import ChineseScriptCleaner
from hft_plugins.cleaners.difference import smallest
from hft_plugins.cleaners.links import LinkCleaner
from hft_plugins.cleaners.mojibake import MojibakeCleaner
from hft_plugins.cleaners.personal_data import PersonalDataCleaner
from hft_plugins.cleaners.width import WidthCleaner

LINKS = LinkCleaner(type="links")
PERSONAL = PersonalDataCleaner(type="personal-data")
WIDTH = WidthCleaner(type="width")


def cleaned(cleaner: TextCleaner, text: str) -> str:
    return apply(text, cleaner.edits([text])[0])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("see https://a.org/b?c=d#e, or www.x.de.", "see [URL], or [URL]."),
        ("(http://en.wikipedia.org/wiki/A_(b))", "([URL])"),
        ("详情见https://example.com/路，谢谢", "详情见[URL]路，谢谢"),
        ("请发到a.b+c@mail.example.cn谢谢", "请发到[EMAIL]谢谢"),
        ("ftp://user@host.org/x and me@host.org", "[URL] and [EMAIL]"),
    ],
)
def test_links_are_masked(before: str, after: str) -> None:
    assert cleaned(LINKS, before) == after


@pytest.mark.parametrize("text", ["", "a@b", "@user hi", "www.", "e.g. x.y", "比例3:2，邮箱@", "http:// nothing"])
def test_links_leave_other_text_alone(text: str) -> None:
    assert LINKS.edits([text]) == [[]]


def test_links_are_stripped_or_left_as_asked() -> None:
    text = "写信a@b.com或看http://c.cn"
    assert cleaned(LinkCleaner(type="links", urls="", emails=None), text) == "写信a@b.com或看"
    assert cleaned(LinkCleaner(type="links", urls=None, emails=""), text) == "写信或看http://c.cn"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("电话13812345678，邮箱a@b.com", "电话[PHONE]，邮箱[EMAIL]"),
        ("身份证11010519491231002X。", "身份证[IDENTITY]。"),
        ("座机010-62771234转8", "座机[PHONE]转8"),
        ("call +49 30 901820 or (555) 123-4567", "call [PHONE] or [PHONE]"),
        ("card 4111 1111 1111 1111!", "card [CARD]!"),
        ("卡号6222021234567895吗", "卡号6222021234567895吗"),  # its check digit is wrong
        ("IBAN DE89 3704 0044 0532 0130 00, thanks", "IBAN [IBAN], thanks"),
        ("from 192.168.0.1", "from [IP]"),
    ],
)
def test_personal_data_is_masked(before: str, after: str) -> None:
    assert cleaned(PERSONAL, before) == after


@pytest.mark.parametrize(
    "text",
    [
        "",
        "in 1999-2003 it cost 1,234,567.89",
        "2024-05-01 12:30:45",
        "version 1.2.3.4.5 and 999.1.1.1",
        "110105194912310021",  # the check digit is X
        "订单20240501123456",
        "4111 1111 1111 1112",
        "GB00 1234 5678 9012 34",
        "3.14159265358979",
    ],
)
def test_other_numbers_are_not_personal(text: str) -> None:
    assert PERSONAL.edits([text]) == [[]]


def test_personal_data_of_chosen_kinds() -> None:
    only = PersonalDataCleaner(type="personal-data", kinds=["email"], mask="<x>")
    assert cleaned(only, "13812345678 a@b.com") == "13812345678 <x>"


def test_width() -> None:
    assert cleaned(WIDTH, "ＡＢＣ１２３，很好！ｶﾞｷﾞ①") == "ABC123，很好！ガギ①"
    full = WidthCleaner(type="width", letters="keep", punctuation="full")
    assert cleaned(full, "很好,真的!(100%) ok") == "很好，真的！（100％） ok"
    half = WidthCleaner(type="width", letters="full", punctuation="half", katakana="keep")
    assert cleaned(half, "a1，ｶﾞ（很好）") == "ａ１,ｶﾞ(很好)"
    assert WIDTH.edits(["plain", "很好。", ""]) == [[], [], []]


def test_chinese_scripts() -> None:
    pytest.importorskip("opencc")
    simplified = ChineseScriptCleaner(type="chinese-script")
    assert cleaned(simplified, "頭髮發財，乾坤乾燥 ok") == "头发发财，乾坤干燥 ok"
    assert simplified.edits(["很好吃", "plain", ""]) == [[], [], []]
    taiwan = ChineseScriptCleaner(type="chinese-script", conversion="s2twp")
    text = "我的鼠标和内存坏了"
    assert cleaned(taiwan, text) == "我的滑鼠和記憶體壞了"
    edits = taiwan.edits([text])[0]
    start = apply(text, edits).index("記憶體")
    found = OffsetMap(text, edits).back(start, start + 3)
    assert "内存" in text[slice(*found)]
    assert len(text[slice(*found)]) <= 3


@pytest.mark.parametrize(
    ("damaged", "repaired"),
    [
        ("the rest‚Ä¶ of it", "the rest… of it"),  # read as Mac Roman
        ("├⌐t├⌐", "été"),  # as cp437
        ("РїСЂРёРІРµС‚", "привет"),  # as cp1251
        ("ä½\xa0å¥½ï¼Œä¸–ç•Œ", "你好，世界"),
        ("送餐很快，味道不错！", "送餐很快，味道不错！"),
        ("naïve café « oui »", "naïve café « oui »"),
        ("plain", "plain"),
    ],
)
def test_mojibake(damaged: str, repaired: str) -> None:
    pytest.importorskip("ftfy")
    assert cleaned(MojibakeCleaner(type="mojibake"), damaged) == repaired


def test_mojibake_edits_are_small() -> None:
    pytest.importorskip("ftfy")
    text = "很好 the rest‚Ä¶ of it"
    edits = MojibakeCleaner(type="mojibake").edits([text])[0]
    assert all(text.index("‚") <= edit.start < edit.end <= text.index("¶") + 1 for edit in edits)


CLEANERS: list[Any] = [
    LINKS,
    LinkCleaner(type="links", urls="", emails=""),
    PERSONAL,
    WIDTH,
    WidthCleaner(type="width", letters="full", punctuation="half"),
]


@pytest.mark.parametrize("cleaner", CLEANERS, ids=lambda cleaner: cleaner.model_dump_json())
def test_any_text(cleaner: TextCleaner) -> None:
    draw = random.Random(1)
    parts = [
        *"ab1.@/:-+() \n好吃，Ａ１！ｶﾞ",
        "http://",
        "www.",
        "a@b.cn",
        "13812345678",
        "192.168.1.1",
        "\ud800",
        "4111111111111111",
    ]
    texts = ["".join(draw.choices(parts, k=draw.randrange(12))) for _ in range(2_000)]
    edits = cleaner.edits(texts)
    for text, own in zip(texts, edits, strict=True):
        assert checked(text, own) == own
        after = apply(text, own)
        offsets = OffsetMap(text, own)
        for edit in own:  # what a mask stands for is found again
            start, end = offsets.forward(edit.start, edit.end)
            assert after[start:end] == edit.replacement
            if edit.replacement:
                assert offsets.back(start, end) == (edit.start, edit.end)
    assert [cleaner.edits([text])[0] for text in texts[:200]] == edits[:200]


def test_smallest_edits() -> None:
    assert smallest(3, "甲乙丙丁", "甲乚丙丅") == [(4, 5, "乚"), (6, 7, "丅")]
    draw = random.Random(2)
    for _ in range(500):
        before, after = ("".join(draw.choices("abc", k=draw.randrange(8))) for _ in range(2))
        assert apply(before, smallest(0, before, after)) == after
