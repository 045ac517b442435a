"""Sentences, punctuation marks, and tables of words."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from hft_core import DataError, RowRandom
from hft_core.registry import load_registry
from hft_core.runtime.edits import apply
from hft_plugins.augmenters.words import sentences

from .augmenting import CHINESE, ENGLISH


def test_sentence_order() -> None:
    order = load_registry().classes("augmenter")["sentence-order"].model_validate({"type": "sentence-order"})
    random = RowRandom(0, np.arange(1))
    for text, after in {
        "It cost 3.50 euros. Fine!": "Fine! It cost 3.50 euros.",
        "很好吃。快！": "快！很好吃。",
        "one only": "one only",
        "first. no end": "first. no end",
    }.items():
        [edits] = order.edits([text], [[]], random)
        assert apply(text, edits) == after
    assert order.edits(["A b. C d."], [[(2, 4)]], random) == [[]]


def test_sentences_are_the_whole_text() -> None:
    for text in (*ENGLISH, *CHINESE, "", "  a", "a.b.c 3.5", "“Yes.” No...  \n\nNext", "?!", "好…好"):
        assert "".join(text[start:end] for start, end in sentences(text)) == text


def test_chinese_punctuation_is_full_width() -> None:
    kind = load_registry().classes("augmenter")["punctuation"]
    edits = kind.model_validate({"type": "punctuation"}).edits(CHINESE * 5, [[]] * 20, RowRandom(0, np.arange(20)))
    marks = {edit.replacement for own in edits for edit in own}
    assert marks <= set("。；？：！，")
    assert len(marks) > 3


def test_a_wordnet_tab_file(tmp_path: Path) -> None:
    file = tmp_path / "wn-data-cmn.tab"
    lines = ["# Chinese Open Wordnet\tcmn", "00000001-n\tcmn:lemma\t味道", "00000001-n\tcmn:lemma\t滋味",
             "00000002-n\tcmn:lemma\t味道", "00000002-n\tcmn:lemma\t滋味", "00000002-n\tcmn:lemma\t气息",
             "00000003-a\tcmn:lemma\t好吃+的", "00000003-a\tcmn:lemma\t可口的", "00000004-n\tcmn:lemma\t店",
             "00000004-n\tcmn:lemma\t商店"]  # fmt: skip
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    kind = load_registry().classes("augmenter")["synonyms"]
    augmenter = kind.model_validate({"type": "synonyms", "table": file, "rate": 1.0})
    text = "这店好吃的味道，商店"
    [edits] = augmenter.edits([text], [[]], RowRandom(0, np.arange(1)))
    assert apply(text, edits) == "这店可口的滋味，店"  # most shared synsets; a single character stays


def test_bad_tables_name_the_line(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_text("a\tb\nc\n")
    noise = (
        load_registry()
        .classes("augmenter")["character-noise"]
        .model_validate({"type": "character-noise", "table": path})
    )
    with pytest.raises(DataError, match="line 2"):
        noise.edits(["abc"], [[]], RowRandom(0, np.arange(1)))


def damaged(path: Path) -> None:
    """Cut a packed file, and put other bytes into its middle."""
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 8] = b"\xff\x00" * 4
    path.write_bytes(data[:-6])


def test_damaged_packed_tables_name_the_file(tmp_path: Path) -> None:
    lines = "".join(f"word{number}\tother{number * 7919}\n" for number in range(500))
    path = tmp_path / "t.tsv.gz"
    path.write_bytes(gzip.compress(lines.encode()))
    for name in ("synonyms", "character-noise"):
        load_registry().classes("augmenter")[name].model_validate({"type": name, "table": path}).edits(
            ["abc"], [[]], RowRandom(0, np.arange(1))
        )
    damaged(path)
    for name in ("synonyms", "character-noise"):
        augmenter = load_registry().classes("augmenter")[name].model_validate({"type": name, "table": path})
        with pytest.raises(DataError, match=r"t\.tsv\.gz: the table .*cannot be read"):
            augmenter.edits(["abc"], [[]], RowRandom(0, np.arange(1)))
