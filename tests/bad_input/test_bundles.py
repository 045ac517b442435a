"""Bundles that were changed, cut off or come from elsewhere: exit code 9, before anything is predicted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hft_core.runtime import manifest


def flipped(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))


def test_a_sound_bundle_answers(bundle: Path, hft_here: Callable[..., Any]) -> None:
    outcome = hft_here("predict", bundle, "a good film", "很好")
    assert outcome.code == 0, outcome.err
    answers = [json.loads(line) for line in outcome.out.splitlines()]
    assert [sorted(answer) for answer in answers] == [["label", "review", "score", "scores"]] * 2
    assert hft_here("verify", bundle).code == 0


@pytest.mark.parametrize("name", ["bundle.json", "tokenizer.json", "golden.jsonl", "parity.json"])
def test_a_flipped_bit(name: str, bundle: Path, hft_here: Callable[..., Any], refused: Callable[..., None]) -> None:
    flipped(bundle / name)
    for command in (("predict", bundle, "a text"), ("verify", bundle)):
        refused(hft_here(*command), "damaged", name, "copy or export")


def test_a_flipped_bit_in_the_weights(bundle: Path, hft_here: Callable[..., Any], refused: Callable[..., None]) -> None:
    """Too large to be read at every start: `verify` finds it."""
    [weights] = (bundle / "onnx").glob("*_data")
    flipped(weights)
    refused(hft_here("verify", bundle), "damaged", weights.name)


@pytest.mark.parametrize("name", ["bundle.json", "tokenizer.json", "MANIFEST.sha256", "onnx/model.onnx"])
def test_a_missing_file(name: str, bundle: Path, hft_here: Callable[..., Any], refused: Callable[..., None]) -> None:
    (bundle / name).unlink()
    outcome = hft_here("predict", bundle, "a text")
    refused(outcome, "recipe" if name == "bundle.json" else "damaged", Path(name).name)


def test_weights_cut_off(bundle: Path, hft_here: Callable[..., Any], refused: Callable[..., None]) -> None:
    [weights] = (bundle / "onnx").glob("*_data")
    weights.write_bytes(weights.read_bytes()[:-100])
    refused(hft_here("predict", bundle, "a text"), "damaged", weights.name, "bytes instead of")


def test_a_damaged_run_folder(hft_here: Callable[..., Any], refused: Callable[..., None], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{", encoding="utf-8")
    refused(hft_here("export", tmp_path / "run"), "damaged", "run.json is damaged", "run the recipe again")


def test_rows_that_cannot_be_answered_do_not_stop_the_others(
    bundle: Path, hft_here: Callable[..., Any], refused: Callable[..., None], tmp_path: Path
) -> None:
    (tmp_path / "rows.csv").write_bytes(b"id,review\n1,fine\n2,caf\xff\n3,a,b\n4,good\n")
    outcome = hft_here("predict", bundle, "--file", "rows.csv")
    refused(outcome, "data", "2 rows could not be answered", "line 3: it is not UTF-8", "line 4: it has 3 fields")
    answers = [json.loads(line) for line in outcome.out.splitlines()]
    assert [answer.get("id") for answer in answers] == ["1", None, None, "4"]
    refused(hft_here("predict", bundle, "--file", "none.csv"), "data", "none.csv cannot be read")


def test_a_precision_that_was_not_exported(
    bundle: Path, hft_here: Callable[..., Any], refused: Callable[..., None]
) -> None:
    refused(hft_here("predict", bundle, "a text", "--precision", "int8"), "recipe", "no precision 'int8'; it has fp32")


def test_texts_that_no_one_expects(bundle: Path, hft_here: Callable[..., Any], tmp_path: Path) -> None:
    texts = ["", " ", "a\x00b", "half \ud83d", "x" * 100_000, "很好" * 50_000, "good"]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps({"review": text}) + "\n" for text in texts), "utf-8")
    outcome = hft_here("predict", bundle, "--file", "rows.jsonl")
    assert outcome.code == 0, outcome.err
    answers = [json.loads(line) for line in outcome.out.splitlines()]
    assert [answer["review"] for answer in answers] == texts
    assert all(0 < answer["score"] < 1 for answer in answers)


def test_wrong_columns(
    bundle: Path, hft_here: Callable[..., Any], refused: Callable[..., None], tmp_path: Path
) -> None:
    (tmp_path / "rows.csv").write_text("id,Review\n1,fine\n", encoding="utf-8")
    said = "has no column 'review', which this model reads; it has id, Review"
    refused(hft_here("predict", bundle, "--file", "rows.csv"), "data", said)
    (tmp_path / "rows.jsonl").write_text('{"Review": "fine"}\n{"review": "fine"}\n', encoding="utf-8")
    outcome = hft_here("predict", bundle, "--file", "rows.jsonl")
    refused(outcome, "data", "1 row could not be answered", "line 1: it has no column 'review'; it has 'Review'")
    assert len(outcome.out.splitlines()) == 2


def test_labels_of_another_number(bundle: Path, hft_here: Callable[..., Any], refused: Callable[..., None]) -> None:
    file = bundle / "bundle.json"
    description = json.loads(file.read_text("utf-8"))
    description["task"]["facts"]["labels"].append("third")
    file.write_text(json.dumps(description), encoding="utf-8")
    refused(hft_here("predict", bundle, "a text"), "damaged", "bundle.json was changed")
    manifest.write(bundle)
    refused(hft_here("predict", bundle, "a text"), "damaged", "has 3 labels", "gives 2 logits")


def test_labels_that_were_swapped(bundle: Path, hft_here: Callable[..., Any], refused: Callable[..., None]) -> None:
    file = bundle / "bundle.json"
    description = json.loads(file.read_text("utf-8"))
    description["task"]["facts"]["labels"].reverse()
    file.write_text(json.dumps(description), encoding="utf-8")
    manifest.write(bundle)
    refused(hft_here("verify", bundle), "damaged", "golden.jsonl, line ", "this machine predicts")


def test_a_provider_that_is_not_there(bundle: Path, hft_here: Callable[..., Any], refused: Callable[..., None]) -> None:
    for command in (("predict", bundle, "a text"), ("verify", bundle)):
        refused(hft_here(*command, "--provider", "abacus"), "plugin", "no provider 'abacus'; it has ")
