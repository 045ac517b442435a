"""From pairs to a bundle of vectors, and to a folder that sentence-transformers loads; in English and Chinese."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hft_core
from hft_core.runtime import load

from .conftest import WORDS, project, translations

pytestmark = pytest.mark.slow
SPACES = {"prepare": {"clean": [{"type": "whitespace"}]}}
ONNX = {"export": [{"type": "onnx", "precisions": ["fp32", "int8"]}]}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """English words and the same in Chinese, in micro-batches, joined by masked language modelling."""
    folder = tmp_path_factory.mktemp("pairs")
    rows = [(text, f"  {other} ") for text, other in translations(160, 0)]
    stage = {
        "micro_batch": 8,
        "epochs": 3,
        "objectives": [
            {"type": "in-batch-negatives", "data": "train", "symmetric": True},
            {"type": "masked-lm", "data": "train", "weight": 0.1},
        ],
    }
    task = {"type": "sentence-embedding", "positive": "chinese"}
    train = [*rows, ("red", ""), ("", "红")]
    recipe = project(folder, ("text", "chinese"), train, translations(110, 1), task, stage, **SPACES, **ONNX)
    return hft_core.run(recipe)


def test_it_finds_the_other_text_and_says_what_became_of_the_rows(trained: Any) -> None:
    figures = trained.metrics["validation"]
    assert figures["mrr"] > 0.3, "at random it would be 0.05"
    assert figures["recall@10"] >= figures["mrr"]
    report = json.loads((trained.folder / "report.json").read_text("utf-8"))
    train = next(row for row in report["ledger"] if row["name"] == "train")
    assert train["quarantined"] == {"empty-text": 2}
    assert train["touched"]["whitespace"] == 160, "cleaners repair the second column too"
    assert report["errors"] == [], "there is no single text that would be right"


def test_the_export_was_held_to_what_vectors_have_to_keep(trained: Any) -> None:
    gates = {gate["gate"]: gate for gate in json.loads((trained.bundle / "parity.json").read_text("utf-8"))["gates"]}
    assert {gate["verdict"] for gate in gates.values()} == {"passed"}
    for precision in ("fp32", "int8"):
        assert {f"vectors: {precision}", f"neighbours: {precision}", f"mrr: {precision}"} <= set(gates)
    described = json.loads((trained.bundle / "bundle.json").read_text("utf-8"))
    assert described["text"] == ["text"]
    assert described["optional"] == ["chinese"]
    assert described["graphs"]["model"]["outputs"] == {"embedding": ["batch", 128]}


def test_one_text_has_a_vector_and_a_pair_a_score(trained: Any) -> None:
    bundle = load(trained.bundle)
    pair = {"text": "red cat", "chinese": "红猫", "id": 7}
    alone, both, none = bundle.predict(["red cat", pair, {"text": "red  cat ", "chinese": None}])
    assert alone.keys() == {"vector"}
    assert np.linalg.norm(alone["vector"]) == pytest.approx(1, abs=1e-5)
    assert both.keys() == {"id", "vector", "positive_vector", "score"}
    assert both["score"] == pytest.approx(float(np.dot(both["vector"], both["positive_vector"])), abs=1e-5)
    np.testing.assert_allclose(both["vector"], alone["vector"], atol=1e-5)
    np.testing.assert_allclose(none["vector"], alone["vector"], atol=1e-5)  # cleaned, and null is no text
    assert none["chinese"] is None
    assert bundle.refusal({"text": "a", "chinese": 3}) == "the column 'chinese' is a int, not a text"
    near, far = bundle.predict([pair, {"text": "red cat", "chinese": "山茶水"}])
    assert near["score"] > far["score"]


def test_the_commands(trained: Any, hft_here: Any, tmp_path: Path) -> None:
    assert hft_here("verify", trained.bundle).code == 0
    (tmp_path / "new.csv").write_text("text,chinese\nred cat,红猫\n", encoding="utf-8")
    [line] = hft_here("predict", trained.bundle, "--file", tmp_path / "new.csv").out.splitlines()
    assert list(json.loads(line)) == ["text", "chinese", "vector", "positive_vector", "score"]
    [line] = hft_here("predict", trained.bundle, "大山").out.splitlines()
    assert list(json.loads(line)) == ["text", "vector"]


def test_sentence_transformers_loads_the_run(trained: Any) -> None:
    library = pytest.importorskip("sentence_transformers", reason="the library that has to load it")
    model = library.SentenceTransformer(str(trained.model), device="cpu")
    texts = [*WORDS, *WORDS.values(), "", "red " * 60]
    wanted = [row["vector"] for row in load(trained.bundle).predict(texts)]
    np.testing.assert_allclose(model.encode(texts, show_progress_bar=False), wanted, atol=1e-5)
    assert model.max_seq_length == 24


def test_scored_pairs_on_a_decoder(tmp_path: Path) -> None:
    """Cosines follow the share of words that two texts have in common; the last token's state is the vector."""
    rows = []
    for number, (one, _) in enumerate(translations(240, 2)):
        other, _ = translations(240, 3)[number]
        mine, theirs = set(one.split()), set(other.split())
        rows.append((one, other, 5 * len(mine & theirs) / len(mine | theirs)))
    task = {
        "type": "sentence-similarity", "range": [0, 5], "pooling": "last", "normalise": False,
    }  # fmt: skip
    model = {
        "type": "gpt", "source": {"scratch": "tiny", "tokenizer": {"type": "bpe", "size": 300}}, "max_length": 24,
    }  # fmt: skip
    stage = {"micro_batch": 16, "epochs": 4}
    train = [*rows[:120], ("red", "cat", 9), ("red", "cat", "nan")]
    recipe = project(
        tmp_path, ("text", "other", "score"), train, rows[120:], task, stage, model=model, export=[{"type": "onnx"}]
    )
    run = hft_core.run(recipe)
    assert run.metrics["validation"]["spearman"] > 0.3
    [row] = load(run.bundle).predict([{"text": "red cat", "other": "red cat"}])
    assert row["score"] == pytest.approx(1, abs=1e-5)
    assert abs(np.linalg.norm(row["vector"]) - 1) > 0.01
    refused = [json.loads(line)["reason"] for line in (run.folder / "quarantine.jsonl").read_text("utf-8").splitlines()]
    assert sorted(refused) == ["not-a-number", "score-out-of-range"]
    library = pytest.importorskip("sentence_transformers", reason="the library that has to load it")
    encoded = library.SentenceTransformer(str(run.model), device="cpu").encode(
        ["red cat", "big"], show_progress_bar=False
    )
    np.testing.assert_allclose(encoded[0], row["vector"], atol=1e-4)
