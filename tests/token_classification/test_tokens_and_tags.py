"""Rows of tokens and tags, as data sets of the hub have them, become a text with entities, or go to the quarantine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from hft_core import DataError
from hft_plugins.token_classification.columns import arranged
from hft_plugins.token_classification.task import TokenClassification

NAMES = ["O", "B-person", "I-person"]


def task(**fields: Any) -> TokenClassification:
    return TokenClassification(type="token-classification", **fields)


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        (["B-x", "I-x", "O", "B-y"], [(0, 8, "x"), (12, 16, "y")]),
        (["I-x", "I-x", "O", "I-y"], [(0, 8, "x"), (12, 16, "y")]),  # IOB1
        (["B-x", "E-x", "O", "S-y"], [(0, 8, "x"), (12, 16, "y")]),  # BIOES, BMES
        (["B-x", "L-x", "O", "U-y"], [(0, 8, "x"), (12, 16, "y")]),  # BILOU
        (["B-x", "B-x", "I-x", "I-y"], [(0, 3, "x"), (4, 11, "x"), (12, 16, "y")]),
        (["O", "O", "O", "O"], []),
    ],
)
def test_any_scheme(tags: list[str], found: list[tuple[int, int, str]]) -> None:
    text, entities = arranged(["Ann", "Ruth", "is", "Lund"], tags, None, None)
    assert text == "Ann Ruth is Lund"
    assert entities == [{"start": start, "end": end, "type": kind} for start, end, kind in found]


def test_chinese_is_joined_without_spaces() -> None:
    text, entities = arranged([*"高勇男2", "Bill", "Gates"], ["B-n", "E-n", "O", "O", "B-n", "E-n"], None, None)
    assert text == "高勇男2 Bill Gates"
    assert [text[one["start"] : one["end"]] for one in entities if isinstance(one, dict)] == ["高勇", "Bill Gates"]
    assert arranged(["高", "勇"], ["O", "O"], None, "_")[0] == "高_勇"


@pytest.mark.parametrize(
    ("tokens", "tags", "reason"),
    [
        (["a"], ["B-x", "O"], "tags-do-not-match: 1 tokens and 2 tags"),
        (["a"], ["X-x"], "unknown-tag: 'X-x', expected O, or one of"),
        (["a"], [3], "unknown-tag: '3', expected a number below 3"),
        (["a"], [True], "unknown-tag: 'True'"),
        (["a"], [None], "unknown-tag: 'None'"),
        (["a", " "], ["O", "O"], "missing-token: ' '"),
        ([1], ["O"], "missing-token: '1'"),
        ([], [], "empty-text"),
        ("a b", "O O", "not-lists-of-tokens-and-tags"),
        (None, None, "not-lists-of-tokens-and-tags"),
    ],
)
def test_rows_that_cannot_be_read(tokens: Any, tags: Any, reason: str) -> None:
    columns = {"tokens": [tokens], "ner_tags": [tags]}
    own = task(tag_names=NAMES).bind({"tokens": [["a"]], "ner_tags": [["O"]]})
    made = own.arrange(columns)
    [found] = own.refusals(made)
    assert found is not None
    assert found.startswith(reason)


def test_columns_are_found_and_missing_ones_named() -> None:
    own = task().bind({"words": [["a"]], "tags": [["O"]], "id": [1]})
    assert (own.tokens, own.tags) == ("words", "tags")
    assert own.roles().text == ("text",)
    assert task().bind({"text": ["a"], "entities": [[]], "tokens": [["a"]], "tags": [["O"]]}).tokens is None
    with pytest.raises(DataError, match="no column 'w' for tokens"):
        task(tokens="w", tags="tags").bind({"words": [["a"]], "tags": [["O"]]})
    with pytest.raises(DataError, match="or `tokens:` and `tags:` for lists"):
        task().bind({"words": [["a"]]})
    with pytest.raises(ValidationError, match="name both columns"):
        task(tokens="words")


@pytest.mark.slow
def test_from_lists_of_tokens_to_entities(tmp_path: Path, hft_here: Any) -> None:
    rows = [{"tokens": ["Ann", "Ruth", "saw", f"n{number}"], "ner_tags": [1, 2, 0, 0]} for number in range(40)] + [
        {"tokens": list(f"高勇在家{number}"), "ner_tags": [1, 2] + [0] * (2 + len(str(number)))} for number in range(40)
    ]
    rows.append({"tokens": ["broken"], "ner_tags": [7]})
    file = tmp_path / "train.jsonl"
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    recipe = {
        "name": "lists",
        "data": {"train": {"type": "jsonl", "path": "train.jsonl"}, "split": {"validation": 0.2}},
        "task": {"type": "token-classification", "tag_names": NAMES},
        "model": {"type": "bert", "source": {"scratch": "tiny", "tokenizer": {"type": "wordpiece", "size": 200}}},
        "stages": [
            {
                "stage": "finetune",
                "objectives": [{"type": "task", "data": "train"}],
                "epochs": 8,
                "optimizer": {"type": "adamw", "lr": 5e-3},
            }
        ],
        "export": [{"type": "onnx"}],
        "precision": "fp32",
    }
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe), encoding="utf-8")
    ran = hft_here("run", tmp_path / "recipe.yaml")
    assert ran.code == 0, ran.err
    found = hft_here("predict", tmp_path / "runs" / "lists" / "bundle", "Ann Ruth saw n3", "高勇在家3")
    english, chinese = ([one["text"] for one in json.loads(line)["entities"]] for line in found.out.splitlines())
    assert english == ["Ann Ruth"]
    assert chinese == ["高勇"]
    report = json.loads((tmp_path / "runs" / "lists" / "report.json").read_text("utf-8"))
    assert report["ledger"][0]["quarantined"] == {"unknown-tag": 1}
