"""A whole run: from a token file to a bundle that answers in the places of the user's text."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hft_core

PEOPLE = ["Anna", "Bob Lee", "吴重阳"]
PLACES = ["Paris", "New York", "北京"]


def tokens(count: int, seed: int) -> str:
    """Sentences in CoNLL's form that a tiny model learns by heart."""
    draw = random.Random(seed)
    sentences = []
    for number in range(count):
        lines = []
        for kind, names in draw.sample([("person", PEOPLE), ("place", PLACES)], 2):
            words = draw.choice(names).split()
            lines += [f"{word}\t{'I' if place else 'B'}-{kind}" for place, word in enumerate(words)]
            lines += [f"{word}\tO" for word in draw.sample(["went", "&", "to", "then", "saw", "."], 2)]
        sentences.append("\n".join([*lines, f"n{seed}x{number}\tO"]) + "\n")
    return "\n".join(sentences)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("entities")
    for name, count, seed in (("train", 200, 0), ("dev", 20, 1), ("test", 20, 2)):
        (folder / f"{name}.conll").write_text(tokens(count, seed), encoding="utf-8")
    recipe = {
        "name": "entities",
        "data": {
            split: {"type": "conll", "path": f"{file}.conll"}
            for split, file in (("train", "train"), ("validation", "dev"), ("test", "test"))
        },
        "task": {"type": "token-classification", "overlap": 4},
        "prepare": {
            "clean": [{"type": "unicode"}, {"type": "html"}, {"type": "exact-duplicates"}],
            "augment": [{"type": "random-swap"}],
        },
        "model": {
            "type": "bert",
            "source": {"scratch": "tiny", "tokenizer": {"type": "wordpiece", "size": 200}},
            "max_length": 16,
        },
        "stages": [
            {
                "stage": "finetune",
                "objectives": [{"type": "task", "data": "train"}],
                "epochs": 8,
                "batch_size": 16,
                "optimizer": {"type": "adam", "lr": 0.003},
            }
        ],
        "export": [{"type": "onnx"}],
        "precision": "fp32",
    }
    file = folder / "recipe.yaml"
    file.write_text(json.dumps(recipe), encoding="utf-8")
    return hft_core.run(file)


def found(answer: Any) -> list[tuple[str, str]]:
    return [(one["text"], one["type"]) for one in answer["entities"]]


def test_it_learns(done: Any) -> None:
    assert done.metrics["test"]["entity-f1"] > 0.9
    assert {"entity-f1[person]", "entity-f1[place]"} <= set(done.metrics["test"])


def test_the_bundle_answers_in_the_users_text(done: Any, proven: Any) -> None:
    proven(done.bundle)
    from hft_core.runtime import load

    bundle = load(done.bundle)
    assert bundle.labels == ["O", "B-person", "I-person", "B-place", "I-place"]
    text = "Ａｎｎａ  &amp; <b>Bob Lee</b> went to New&nbsp;York . 吴重阳 saw 北京 ."
    long = text + " then" * 60 + " Paris ."  # over several windows
    plain, widened, empty = bundle.predict(["Anna went to Paris .", long, ""])
    assert found(plain) == [("Anna", "person"), ("Paris", "place")]
    assert found(widened)[0] == ("Ａｎｎａ", "person")
    assert found(widened)[-1] == ("Paris", "place")
    assert ("New&nbsp;York", "place") in found(widened)
    for answer, given in ((plain, "Anna went to Paris ."), (widened, long)):
        for one in answer["entities"]:
            assert list(one) == ["start", "end", "text", "type", "score"]
            assert given[one["start"] : one["end"]] == one["text"]
            assert 0 < one["score"] <= 1
    assert empty["entities"] == []


def test_torch_and_bundle_agree(done: Any) -> None:
    from hft_core.runtime import load

    texts = ["Anna saw Paris . " * 9, "北京 & 吴重阳"]
    assert list(map(found, done.predict(texts))) == list(map(found, load(done.bundle).predict(texts)))


@pytest.mark.parametrize("form", ["jsonl", "csv", "table"])
def test_the_command_line(form: str, done: Any, hft_here: Callable[..., Any]) -> None:
    outcome = hft_here("predict", done.bundle, "Anna went to Paris .", "--format", form)
    assert outcome.code == 0
    assert "person" in outcome.out
    if form == "jsonl":
        answer = json.loads(outcome.out)
        assert answer["text"] == "Anna went to Paris ."
        assert found(answer) == [("Anna", "person"), ("Paris", "place")]


def test_the_report_shows_it(done: Any) -> None:
    report = Path(done.report).read_text(encoding="utf-8")
    assert "entity-f1" in report
