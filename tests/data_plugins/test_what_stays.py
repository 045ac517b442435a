"""What no augmenter does: tear clitics off, move negations, let words in that turn the meaning."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hft_core import Columns, Roles, RowRandom, TextBatch, Training
from hft_core.data.table import ROW
from hft_core.registry import load_registry
from hft_core.runtime.edits import apply
from hft_plugins.augmenters.protected import negates
from hft_plugins.augmenters.words import words

SPLIT = "i 've never seen it , and the film 's plot is n't dull"
LEXICAL = ("synonyms", "random-swap", "random-insert", "random-delete", "punctuation", "character-noise")


def variants(settings: dict[str, Any], text: str, training: Training = Training(), count: int = 60) -> set[str]:  # noqa: B008  # it is frozen
    augmenter = load_registry().classes("augmenter")[settings["type"]].model_validate(settings)
    batch = TextBatch([text] * count, [()] * count, {"label": ["a"] * count})
    return {apply(text, own) for own in augmenter.editor(training)(batch, RowRandom(1, np.arange(count)))}


def labelled(texts: list[str], labels: list[str]) -> Training:
    columns: Columns = {"text": texts, "label": labels, ROW: list(range(len(texts)))}
    return Training(lambda: iter([columns]), Roles(text=("text",)), "label")


def test_a_clitic_that_was_split_off_is_one_word() -> None:
    assert [match[0] for match in words(SPLIT)] == [
        "i", "'ve", "never", "seen", "it", "and", "the", "film", "'s", "plot", "is", "n't", "dull",
    ]  # fmt: skip
    assert [match[0] for match in words("it’s ’s 'so' don't 'tis é 's")] == [
        "it’s",
        "’s",
        "so",
        "don't",
        "tis",
        "é",
        "'s",
    ]


@pytest.mark.parametrize("name", LEXICAL)
def test_clitics_stay_where_they_are(name: str) -> None:
    for text in variants({"type": name, "rate": 0.5}, SPLIT):
        for leaned_on, clitic in (("i", "'ve"), ("[a-z]+", "'s"), ("is", "n't")):
            assert re.search(rf"(?<![a-z']){leaned_on} {clitic}(?![a-z])", text), text


@pytest.mark.parametrize("name", ["random-swap", "random-insert", "random-delete", "punctuation"])
def test_what_is_negated_graded_and_counted_stays_so(name: str, tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("店员\t店小二\n饭菜\t菜肴\n", encoding="utf-8")
    table = {"table": tmp_path / "t.tsv"} if name == "random-insert" else {}
    for text in variants(
        {"type": name, "rate": 0.9}, "the acting is not bad , never very cheap , with twenty one films"
    ):
        assert all(word in text for word in ("not", "never very", "twenty one")), text
        assert name == "random-delete" or "not bad" in text, text
        assert name == "random-delete" or "very cheap" in text, text
    for text in variants({"type": name, "rate": 0.9} | table, "二十三个店员特别好，饭菜非常好，没有3公斤"):
        assert all(word in text for word in ("二十三", "特别好", "非常好", "没有3")), text


def test_chinese_negations_stay(tmp_path: Path) -> None:
    table = tmp_path / "wn-data-cmn.tab"
    synsets = {
        "1-a": ["不满意", "怨恨"], "2-v": ["喜欢", "不讨厌", "喜爱"], "3-n": ["小时", "60分钟", "钟头"], "4-n": ["速度", "速率"],
        "5-n": ["店", "商店"], "6-a": ["快", "迅速"],
    }  # fmt: skip
    lines = [f"{f'0000000{key}'[-10:]}\tcmn:lemma\t{word}" for key, own in synsets.items() for word in own]
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    swapped = {"type": "synonyms", "rate": 1.0, "table": table}
    assert variants(swapped, "我不满意，我喜欢这三个小时") == {"我不满意，我喜爱这三个钟头"}
    for text in variants({"type": "random-insert", "rate": 0.9, "table": table}, "速度不快，非常喜欢"):
        assert "不快" in text
        assert "非常喜欢" in text


def test_typographic_apostrophes_protect_as_straight_ones_do() -> None:
    for text in variants({"type": "character-noise", "rate": 1.0}, "i don’t like it ’s plot , they ’ve won’t"):
        assert all(word in text for word in ("don’t", "it ’s", "’ve", "won’t")), text
    assert not negates("非常特别")
    assert negates("非常不好")


def test_function_words_are_taken_for_one_another_in_chinese(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("德\t的|得\n", encoding="utf-8")
    assert variants({"type": "character-noise", "rate": 1.0, "table": tmp_path / "t.tsv"}, "德国") == {"的国", "得国"}


def test_noise_makes_no_negation(tmp_path: Path) -> None:
    texts = variants({"type": "character-noise", "table": "ocr", "rate": 1.0}, "want film")
    assert all(not text.startswith("wont ") for text in texts)
    table = tmp_path / "t.tsv"
    table.write_text("步\t不|部\n", encoding="utf-8")
    assert variants({"type": "character-noise", "table": table, "rate": 1.0}, "步行") == {"部行"}


def test_homophones_that_are_words_of_the_rows_come_in(tmp_path: Path) -> None:
    """Nearly every Chinese character stands somewhere in the rows; what goes with a label does not come in."""
    table = tmp_path / "t.tsv"
    table.write_text("快\t块|筷\n", encoding="utf-8")
    training = labelled(["一块钱", "两块钱", "很快", "很慢"] * 4 + ["筷子"] * 6, ["a", "b", "b", "b"] * 4 + ["a"] * 6)
    assert variants({"type": "character-noise", "table": table, "rate": 1.0}, "很快", training) == {"很块"}


def test_a_small_difference_in_thousands_of_rows_is_no_label(tmp_path: Path) -> None:
    table = tmp_path / "t.tsv"
    table.write_text("film\tmovie\nfine\tgood\n")
    texts = ["film"] * 8000 + ["fine"] * 2000
    labels = ["a", "b"] * 3900 + ["a"] * 150 + ["b"] * 50 + ["a"] * 1400 + ["b"] * 600
    found = variants({"type": "synonyms", "table": table, "rate": 1.0}, "film fine", labelled(texts, labels))
    assert found == {"movie fine"}  # 50.6 % of `film` are a, of `fine` 70 %, and of all 54.5 %


def test_words_of_rare_labels_go_with_them(tmp_path: Path) -> None:
    table = tmp_path / "t.tsv"
    table.write_text("film\tmovie\nrefund\tmoney\n")
    texts, labels = ["film"] * 9000, ["a", "b"] * 4500
    texts += ["film refund"] * 900 + ["film refund"] * 50
    labels += ["a", "b"] * 450 + ["rare"] * 50  # five times as often as in all rows, and 4.8 points more
    found = variants({"type": "synonyms", "table": table, "rate": 1.0}, "film refund", labelled(texts, labels))
    assert found == {"movie refund"}


def test_sentences_with_relation_markers_go_into_no_other_text() -> None:
    texts = ["We use << trees >> . It is [[ fast ]] . Fine .", "All of it works . So it does ."]
    found = variants({"type": "sentence-mix"}, texts[1], labelled(texts, ["a", "a"]))
    assert found == {f"Fine . {texts[1]}", "All of it works . Fine . So it does .", f"{texts[1]} Fine ."} | (
        found & {texts[1]}
    )
