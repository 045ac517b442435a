from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hft_core import Augmenter, DataError, RowRandom
from hft_core.runtime.edits import apply, checked, touches
from hft_plugins.augmenters.protected import NEGATIONS, PROTECTED
from hft_plugins.augmenters.random_delete import RandomDelete
from hft_plugins.augmenters.random_swap import RandomSwap
from hft_plugins.augmenters.synonyms import Synonyms
from hft_plugins.augmenters.table import ENGLISH, load
from hft_plugins.augmenters.words import words

ENGLISH_TEXT = "Movie fans seem fascinated , but the movie is not superb"
CHINESE_TEXT = "这家店的外卖非常好吃，送餐很快！"


@pytest.fixture
def chinese(tmp_path: Path) -> Path:
    path = tmp_path / "zh.tsv"
    path.write_text("# 词表\n好吃\t美味|可口\n外卖\t外送\n送餐\t配送\n外\t里\n非常\t十分\n", encoding="utf-8")
    return path


def variants(augmenter: Augmenter, text: str, spans: Any = (), count: int = 50) -> list[str]:
    edits = augmenter.edits([text] * count, [spans] * count, RowRandom(3, np.arange(count)))
    return [apply(text, own) for own in edits]


def test_synonyms_keep_capitals_and_protected_words() -> None:
    found = set(variants(Synonyms(type="synonyms", rate=1.0), ENGLISH_TEXT))
    assert found == {
        f"{first} {fans} appear fascinated , but the {second} is not brilliant"
        for first in ("Film", "Picture")
        for fans in ("admirers", "devotees")
        for second in ("film", "picture")
    }
    assert len(set(variants(Synonyms(type="synonyms", rate=0.1), ENGLISH_TEXT))) == 8


@pytest.mark.parametrize(
    "text", ["", "!?…，", "12 345", "😀😀", "not very good at all", "xyzzy qwxz", "I saw Movie once"]
)
def test_synonyms_without_a_candidate(text: str) -> None:
    assert Synonyms(type="synonyms", rate=1.0).edits([text], [()], RowRandom(0, np.arange(1))) == [[]]


def test_synonyms_protect_more_words() -> None:
    augmenter = Synonyms(type="synonyms", rate=1.0, protect=["Movie", "superb", "seem", "fascinated", "fans"])
    assert set(variants(augmenter, ENGLISH_TEXT)) == {ENGLISH_TEXT}


def test_synonyms_fit_the_article(tmp_path: Path) -> None:
    table = tmp_path / "t.tsv"
    table.write_text("effort\tattempt\ttry\nwish\turge\n")
    augmenter = Synonyms(type="synonyms", rate=1.0, table=table)
    assert set(variants(augmenter, "an effort , a wish , the effort")) == {
        "an attempt , a wish , the attempt",
        "an attempt , a wish , the try",
    }


def test_chinese_synonyms_by_longest_match(chinese: Path) -> None:
    found = set(variants(Synonyms(type="synonyms", rate=1.0, table=chinese), CHINESE_TEXT))
    assert found == {f"这家店的外送非常{word}，配送很快！" for word in ("美味", "可口")}


def test_chinese_synonyms_respect_spans(chinese: Path) -> None:
    start = CHINESE_TEXT.index("好吃")
    found = set(variants(Synonyms(type="synonyms", rate=1.0, table=chinese), CHINESE_TEXT, [(start + 1, start + 2)]))
    assert found == {"这家店的外送非常好吃，配送很快！"}


def test_faulty_tables(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_text("good\tfine\nbad\n")
    with pytest.raises(DataError, match="line 2"):
        Synonyms(type="synonyms", table=path).edits(["good"], [()], RowRandom(0, np.arange(1)))
    with pytest.raises(DataError, match="cannot be read"):
        Synonyms(type="synonyms", table=tmp_path / "absent").edits(["x"], [()], RowRandom(0, np.arange(1)))


def test_the_english_table() -> None:
    assert ENGLISH.stat().st_size < 700_000
    assert (ENGLISH.parent / "LICENSE.wordnet").read_text().count("Princeton") > 3
    table = load(ENGLISH, PROTECTED).entries
    assert len(table) > 10_000
    assert all(
        word.isalpha() and word.islower() and word.isascii()
        for entry in table.items()
        for word in (entry[0], *entry[1].synonyms)
    )
    assert "film" in table["movie"].synonyms
    assert table["seems"].synonyms == ("appears",)
    assert not {"saw", "felt", "not", "very", "two"} & set(table)


def test_the_table_is_not_read_at_import() -> None:
    code = (
        "import hft_plugins.augmenters.plugin as p; from hft_plugins.augmenters.table import _loaded\n"
        "p.register_augmenters(); assert _loaded.cache_info().currsize == 0"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})


def test_swap() -> None:
    found = set(variants(RandomSwap(type="random-swap"), "good film , really"))
    assert found == {"film good , really"}
    text = "送餐快，味道"
    found = set(variants(RandomSwap(type="random-swap"), text))
    assert found == {"餐送快，味道", "送快餐，味道", "送餐快，道味"}


def test_delete() -> None:
    assert set(variants(RandomDelete(type="random-delete"), "good film, 2 stars")) == {
        "film, 2 stars",
        "good, 2 stars",
        "good film, 2",
    }
    assert set(variants(RandomDelete(type="random-delete"), "不好吃，3次")) == {"不好，3次"}  # 不, 好 and a unit stay
    assert variants(RandomDelete(type="random-delete", rate=1.0), "3个4元")[0] == "3个4元"  # and no 34
    whole = variants(RandomDelete(type="random-delete", rate=1.0), "red blue green grey")
    assert {len(text.split()) for text in whole} == {1}
    assert all(text == text.strip() for text in whole)


def test_delete_leaves_negations() -> None:
    for text in variants(RandomDelete(type="random-delete", rate=1.0), "do n't go , it is not good and isn’t cheap"):
        assert {"n't", "not", "isn’t"} <= set(text.split())


@pytest.mark.parametrize("kind", [RandomSwap, RandomDelete])
@pytest.mark.parametrize("text", ["", "。！？", "word", "好", "😀 😀", "42", "not"])
def test_nothing_to_swap_or_delete(kind: type[Augmenter], text: str) -> None:
    assert kind(type=kind.type_name()).edits([text], [()], RowRandom(0, np.arange(1))) == [[]]


def augmenters(table: Path) -> list[Augmenter]:
    return [
        Synonyms(type="synonyms", rate=0.3),
        Synonyms(type="synonyms", rate=0.3, table=table),
        RandomSwap(type="random-swap", rate=0.3),
        RandomDelete(type="random-delete", rate=0.3),
    ]


def test_any_text_and_any_batch(chinese: Path) -> None:
    draw = random.Random(5)
    pieces = [
        "movie",
        "Film",
        "big",
        "not",
        "no one",
        " ",
        " ",
        "  ",
        "，",
        ".",
        "好吃",
        "外卖",
        "送餐",
        "不",
        "快",
        "７",
        "42",
        "😀",
        "é",
        "\n",
    ]
    texts = ["".join(draw.choices(pieces, k=draw.randrange(20))) for _ in range(600)]
    texts.append("big movie 好吃 " * 400)  # needs more draws than rows share
    spans = []
    for text in texts:
        borders = sorted(draw.randrange(len(text) + 1) for _ in range(4))
        spans.append([(borders[0], borders[1]), (borders[2], borders[3])])
    rows = np.arange(len(texts)) * 7
    for augmenter in augmenters(chinese):
        edits = augmenter.edits(texts, spans, RowRandom(11, rows))
        assert sum(map(bool, edits)) > 100
        for text, protected, own in zip(texts, spans, edits, strict=True):
            assert checked(text, own) == own
            assert not any(touches(edit, span) for edit in own for span in protected)
            assert all(text[edit.start : edit.end] != edit.replacement for edit in own)
        order = np.array(draw.sample(range(len(texts)), len(texts)))
        for part in np.array_split(order, 7):
            again = augmenter.edits([texts[i] for i in part], [spans[i] for i in part], RowRandom(11, rows[part]))
            assert again == [edits[i] for i in part]


def test_the_rate_is_the_share_of_words(chinese: Path) -> None:
    text = " ".join(f"big{chr(97 + i)}" for i in range(20))
    for text_after in variants(RandomDelete(type="random-delete", rate=0.25), text):
        assert len(text_after.split()) == 15
    edits = Synonyms(type="synonyms", rate=0.5).edits(["big movie " * 10], [()], RowRandom(0, np.arange(1)))
    assert len(edits[0]) == 10


def test_words() -> None:
    assert [match[0] for match in words("It's 2 well-made films, naïve 好吃！３次")] == [
        "It's", "well-made", "films", "naïve", "好", "吃", "次",
    ]  # fmt: skip
    assert {"not", "n't", "不", "没有"} <= NEGATIONS


def test_an_epoch_of_sst2(data_dir: Path) -> None:
    texts = [line.rpartition("\t")[0] for line in (data_dir / "sst2" / "train.tsv").read_text().splitlines()]
    edits = Synonyms(type="synonyms").edits(texts, [()] * len(texts), RowRandom(0, np.arange(len(texts))))
    assert sum(map(bool, edits)) > len(texts) * 0.5
