"""A whole run: from questions with and without answers to a bundle that answers in the places of the user's text."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hft_core

PEOPLE = ["Anna", "Bob Lee", "吴重阳", "Zoe"]
PLACES = ["Paris", "New York", "北京", "Rome"]
QUESTIONS = {"Who?": PEOPLE, "Where?": PLACES}


def rows(count: int, seed: int) -> list[dict[str, Any]]:
    """Questions on texts of a few words, with an answer that a tiny model learns by heart, or none."""
    draw = random.Random(seed)
    made = []
    for number in range(count):
        said = {"Who?": draw.choice(PEOPLE), "Where?": draw.choice(PLACES)}
        question = draw.choice(sorted(said))
        known = draw.random() < 0.7
        words = draw.sample(["went", "&", "then", "saw", "there", "again"], 3)
        words += [text for asked, text in said.items() if known or asked != question]
        draw.shuffle(words)
        context = " ".join([*words, f"n{seed}x{number}"])
        answer = said[question] if known else ""
        made.append(
            {
                "context": context,
                "question": question,
                "answer": answer,
                "answer_start": context.index(answer) if known else "",
            }
        )
    return made


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("answers")
    for name, count, seed in (("train", 400, 0), ("dev", 100, 1), ("test", 60, 2)):
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, ["context", "question", "answer", "answer_start"], lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows(count, seed))
    recipe = {
        "name": "answers",
        "data": {
            split: {"type": "csv", "path": f"{file}.csv"}
            for split, file in (("train", "train"), ("validation", "dev"), ("test", "test"))
        },
        "task": {"type": "question-answering", "overlap": 6, "max_answer_length": 8},
        "prepare": {
            "clean": [{"type": "unicode"}, {"type": "html"}],
            "augment": [{"type": "random-swap"}],
        },
        "model": {
            "type": "bert",
            "source": {"scratch": "tiny", "tokenizer": {"type": "wordpiece", "size": 300}},
            "max_length": 24,
        },
        "stages": [
            {
                "stage": "finetune",
                "objectives": [{"type": "task", "data": "train"}],
                "epochs": 12,
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


def test_it_learns(done: Any) -> None:
    test = done.metrics["test"]
    assert test["answer-f1"] > 0.85
    assert {"answer-exact-match", "answer-f1[answer]", "answer-f1[no answer]"} <= set(test)
    assert test["answer-f1[no answer]"] > 0.5


def test_the_threshold_is_tuned_and_ships(done: Any) -> None:
    facts = json.loads((done.bundle / "bundle.json").read_text("utf-8"))["task"]["facts"]
    assert facts["no_answer"] is True
    assert isinstance(facts["threshold"], float)
    assert facts["rules"] == "squad"


def test_the_bundle_answers_in_the_users_text(done: Any, proven: Any) -> None:
    proven(done.bundle)
    from hft_core.runtime import load

    bundle = load(done.bundle)
    assert bundle.text == ["context", "question"]
    context = "Ａｎｎａ &amp; <b>then</b> saw New&nbsp;York n1"
    long = context + " again" * 60 + " n1"  # over several windows
    asked = [
        {"context": "then saw Anna went Paris n1", "question": "Who?", "id": 7},
        {"context": context, "question": "Where?"},
        {"context": "again " * 60 + "went Bob Lee n1", "question": "Who?"},
        {"context": "", "question": "Who?"},
        {"context": long, "question": ""},
    ]
    found = bundle.predict(asked)
    assert (found[0]["answer"], found[0]["start"], found[0]["end"], found[0]["id"]) == ("Anna", 9, 13, 7)
    listed = [[one["answer"] for one in answer["n_best"]] for answer in found]
    assert "New&nbsp;York" in listed[1]
    assert "Bob Lee" in listed[2]  # in the last window
    assert (found[3]["answer"], found[3]["start"]) == (None, None)
    for row, answer in zip(asked, found, strict=True):
        assert [*answer][-6:] == ["answer", "start", "end", "score", "n_best", "margin"]
        assert 0 <= answer["score"] <= 1
        for one in [answer, *answer["n_best"]]:
            if one["answer"] is not None:
                assert row["context"][one["start"] : one["end"]] == one["answer"]
        scores = [one["score"] for one in answer["n_best"]]
        assert scores == sorted(scores, reverse=True)


def test_no_answer_is_found(done: Any) -> None:
    from hft_core.runtime import load

    absent = [{"context": f"then saw {place} went & n1", "question": "Who?"} for place in PLACES[:2]]
    assert [one["answer"] for one in load(done.bundle).predict(absent)] == [None, None]


def test_the_command_line(done: Any, hft_here: Callable[..., Any], tmp_path: Path) -> None:
    typed = hft_here("predict", done.bundle, "then saw Anna went Paris n1", "Who?", "went Rome & then Zoe n1", "Where?")
    assert typed.code == 0
    answers = [json.loads(line) for line in typed.out.splitlines()]
    assert [one["answer"] for one in answers] == ["Anna", "Rome"]
    assert (answers[1]["context"], answers[1]["question"]) == ("went Rome & then Zoe n1", "Where?")

    uneven = hft_here("predict", done.bundle, "then saw Anna went Paris n1")
    assert uneven.code == 2
    assert "reads 2 texts a row, context, question, in this order; 1 cannot be divided" in uneven.err

    file = tmp_path / "asked.jsonl"
    asked: list[Any] = [
        {"context": "then saw Anna went Paris n1", "question": "Who?", "answer": "Anna"},
        {"context": "Anna"},
        {"context": "Anna", "question": None},
        "Anna",
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in asked), encoding="utf-8")
    outcome = hft_here("predict", done.bundle, "--file", file)
    assert outcome.code == 3
    lines = [json.loads(line) for line in outcome.out.splitlines()]
    assert (lines[0]["input_answer"], lines[0]["answer"]) == ("Anna", "Anna")
    assert "no column 'question'" in lines[1]["error"]
    assert "'question' is null" in lines[2]["error"]
    assert "a single text is not enough" in lines[3]["error"]

    out = tmp_path / "answers.csv"
    table = tmp_path / "asked.csv"
    table.write_text("question,context\nWho?,then saw Anna went Paris n1\n", encoding="utf-8")
    assert hft_here("predict", done.bundle, "--file", table, "--out", out).code == 0
    [row] = csv.DictReader(out.open(encoding="utf-8"))
    assert (row["answer"], json.loads(row["n_best"])[0]["answer"]) == ("Anna", "Anna")


def test_the_report_shows_it(done: Any) -> None:
    report = Path(done.report).read_text(encoding="utf-8")
    assert "answer-f1" in report
    content = json.loads((done.folder / "report.json").read_text("utf-8"))
    assert content["next"][0]["command"].endswith('/bundle "…" "…"'), "it reads two columns"
    wrong = round((1 - done.metrics["test"]["answer-exact-match"]) * 60)
    assert len(content["errors"]) >= min(30, wrong)
    assert all(row["truth"] != row["predicted"] for row in content["errors"])
    assert all(row["text"].endswith(("| Who?", "| Where?")) for row in content["errors"])


def test_transformers_reads_the_model_and_its_own_head_is_known(done: Any, tmp_path: Path) -> None:
    """Both ways: a run's folder is one of the library's, and the head of such a folder is not new."""
    import torch
    import transformers

    from hft_core import HeadSpec
    from hft_plugins.transformers.models import Bert

    stock: Any = transformers.AutoModelForQuestionAnswering
    loaded, info = stock.from_pretrained(done.model, output_loading_info=True)
    assert not info["missing_keys"]
    assert type(loaded).__name__ == "BertForQuestionAnswering"
    torch.nn.init.normal_(loaded.qa_outputs.weight)
    loaded.save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((Path(done.model) / name).read_bytes())

    model = Bert.model_validate({"type": "bert", "source": str(tmp_path)})
    heads = {"main": HeadSpec("question-answering", size=2), "other": HeadSpec("token-classification", size=2)}
    net: Any = model.build(tmp_path, model.preprocessor(tmp_path, []), heads)
    assert net.new_heads == {"other"}
    torch.testing.assert_close(net.heads["main"].qa_outputs.weight, loaded.qa_outputs.weight)


@pytest.mark.slow
def test_a_run_goes_on_from_its_head(done: Any, tmp_path: Path) -> None:
    """A new run from the folder keeps the head: what it knew before training is what the other run knew."""
    source = Path(done.folder)
    recipe = json.loads((source.parents[1] / "recipe.yaml").read_text("utf-8"))
    recipe["name"] = "again"
    recipe["model"] = {"type": "bert", "source": str(source), "max_length": 24}
    recipe["stages"][0] |= {"epochs": 1, "optimizer": {"type": "adam", "lr": 1e-7}}
    recipe["prepare"].pop("augment")
    recipe.pop("export")
    file = source.parents[1] / "again.yaml"
    file.write_text(json.dumps(recipe), encoding="utf-8")
    again = hft_core.run(file)
    assert again.metrics["test"] == pytest.approx(done.metrics["test"], abs=0.02)
