"""No built-in cleaner touches the network, and each one does its work on unsegmented Chinese."""

from __future__ import annotations

import socket
from typing import Any, NoReturn

import pytest

from hft_core import Cleaner, Roles, RowFilter, TextCleaner
from hft_core.registry import load_registry
from hft_core.runtime.edits import apply

ROLES = Roles(text=("评论",), target=("标签",))
REPAIRS: dict[str, tuple[dict[str, Any], str, str]] = {
    "mojibake": ({}, "ä½\xa0å¥½ï¼Œä¸–ç•Œ", "你好，世界"),
    "unicode": ({}, "好\u200b吃", "好吃"),
    "html": ({}, "很好<b>吃</b>", "很好吃"),
    "links": ({}, "请看http://a.cn谢谢", "请看[URL]谢谢"),
    "personal-data": ({}, "电话13812345678谢谢", "电话[PHONE]谢谢"),
    "width": ({}, "只要１０元", "只要10元"),
    "chinese-script": ({}, "味道還不錯", "味道还不错"),
    "whitespace": ({}, "很好　　吃 ", "很好 吃"),
}
GOOD = ["这家餐厅的味道很不错，送餐也快", "包装破了，饭也凉了，很失望"]
FILTERS: dict[str, tuple[dict[str, Any], str, str]] = {
    "header-rows": ({}, "评论", "标签"),
    "exact-duplicates": ({}, GOOD[0], "1"),
    "near-duplicates": ({"threshold": 0.7}, GOOD[0] + "！！", "1"),
    "length": ({"minimum": 5}, "好吃", "1"),
    "language": ({"keep": ["zh"]}, "This sentence is clearly not Chinese at all.", "1"),
    "repetition": ({}, "没有送水没有送水" * 8, "1"),
    "symbols": ({}, "好＊＊＊＊＊＊＊＊＊＊＊", "1"),
    "label-noise": ({"maximum": 0.2}, GOOD[1] + "，第3次", "1"),
}
"""By type: settings, and a row that goes, behind rows that stay."""


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no socket be opened, and no name be looked up."""

    def refuse(*arguments: object, **options: object) -> NoReturn:
        raise AssertionError("a component touches the network")

    for name in ("socket", "create_connection", "getaddrinfo", "gethostbyname"):
        monkeypatch.setattr(socket, name, refuse)


def built_in(base: type[Cleaner]) -> set[str]:
    registry = load_registry()
    return {
        name
        for name, known in registry.classes("cleaner").items()
        if issubclass(known, base) and known.__module__.startswith("hft_plugins.")
    }


def make(name: str, settings: dict[str, Any]) -> Any:
    known = load_registry().classes("cleaner")[name]
    for package in known.packages:
        pytest.importorskip({"scikit-learn": "sklearn"}.get(package, package))
    return known.model_validate({"type": name, **settings})


def test_every_cleaner_is_tried_here() -> None:
    assert set(REPAIRS) == built_in(TextCleaner)
    assert set(FILTERS) == built_in(RowFilter)


@pytest.mark.parametrize("name", REPAIRS)
def test_repairs_of_chinese_without_a_network(name: str, no_network: None) -> None:
    settings, before, after = REPAIRS[name]
    edits = make(name, settings).edits([before, "很好吃，下次再来！"])
    assert apply(before, edits[0]) == after
    assert edits[1] == []


@pytest.mark.parametrize("name", FILTERS)
def test_filters_of_chinese_rows_without_a_network(name: str, no_network: None) -> None:
    settings, text, label = FILTERS[name]
    copies = 8 if name == "label-noise" else 1  # it needs rows to learn from
    stay = [
        (f"{good}，第{n}次" if copies > 1 else good, label)
        for good, label in zip(GOOD, "10", strict=True)
        for n in range(copies)
    ]
    rows = [*stay, (text, label)]
    batch = {"评论": [row[0] for row in rows], "标签": [row[1] for row in rows]}
    [found] = make(name, settings).reasons(iter([batch]), ROLES)
    assert found[:-1] == [None] * len(stay)
    assert found[-1] is not None
