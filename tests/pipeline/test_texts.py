"""`report: {texts: false}`: no text of the data stands in anything that a run leaves for people."""

from __future__ import annotations

import base64
import gzip
import html
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PLANTED = ["zebra quartz marmalade seven", "绝密计划第九号文件", "<b>jigsaw</b> velvet & thunder"]
"""Parts of texts; the last one is changed by a cleaner."""


def forms(text: str) -> list[bytes]:
    """How a text could stand in a file."""
    written = [text, html.escape(text), json.dumps(text)[1:-1], text.replace("<b>", "").replace("</b>", "")]
    plain = [form.encode() for form in written]
    # Base64 of a longer text has that of a part, at one of three shifts, but for the characters at its ends.
    coded = [base64.b64encode(b" " * shift + text.encode())[4:-4] for shift in range(3)]
    return plain + coded


def found(folder: Path) -> dict[str, list[str]]:
    """By file of a folder, the planted texts that it holds."""
    result: dict[str, list[str]] = {}
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            content = file.read_bytes()
            if content[:2] == b"\x1f\x8b":
                content = gzip.decompress(content)
            if there := [text for text in PLANTED if any(form in content for form in forms(text))]:
                result[str(file.relative_to(folder))] = there
    return result


@pytest.fixture
def private(project: Any, write_rows: Any, make_rows: Any) -> Any:
    """A recipe over files with planted texts in every row, in refused rows too."""
    for number, (name, count) in enumerate((("train", 96), ("dev", 110), ("test", 60)), 1):
        rows = [(f"{text} {PLANTED[place % 3]}", label) for place, (text, label) in enumerate(make_rows(count, number))]
        write_rows(project.folder / f"{name}.csv", rows)
        with (project.folder / f"{name}.csv").open("ab") as stream:
            stream.write(f"{PLANTED[0]},,,pos,\r\n{PLANTED[1]} broken,\r\n".encode())
            stream.write(f"{PLANTED[0]} \xe9\xff,neg\r\n".encode("latin-1"))
    corpus = "\n".join(f"{text} {PLANTED[1]}" for text, _ in make_rows(60, 4))
    (project.folder / "corpus.txt").write_text(corpus + "\n", encoding="utf-8")
    project.recipe["prepare"] = {"clean": [{"type": "html"}], "augment": [{"type": "random-swap"}]}
    project.recipe["stages"] = project.recipe["stages"][1:]
    del project.recipe["data"]["corpus"]
    project.recipe["stages"][0]["epochs"] = 1
    project.recipe["export"] = [{"type": "onnx"}]
    return project


@pytest.mark.slow
def test_no_text_of_the_data_is_left_in_a_run(private: Any, hft_here: Callable[..., Any]) -> None:
    from hft_core.runtime import load

    with_texts = found(private.run().folder)
    assert {"report.html", "report.json", "quarantine.jsonl", "bundle/golden.jsonl"} <= with_texts.keys(), (
        "or the test below could not fail"
    )
    run = private.run(name="silent", report={"texts": False})
    assert found(run.folder) == {}
    report = json.loads((run.folder / "report.json").read_text("utf-8"))
    assert report["errors"] == []
    assert report["metrics"]["test"]["accuracy"]["value"] > 0
    lines = [json.loads(line) for line in (run.folder / "quarantine.jsonl").read_text("utf-8").splitlines()]
    assert len(lines) == 9
    assert all(line.keys() == {"file", "line", "component", "reason"} for line in lines)
    assert load(run.bundle).verify()["rows"] == 12
    verified = hft_here("verify", run.bundle)
    assert verified.code == 0, verified.err
    # `hft export` of such a run keeps to it.
    again = hft_here("export", run.folder, HFT_STORE=str(private.folder / ".hft"))
    assert again.code == 0, again.err
    assert found(run.folder) == {}


@pytest.mark.slow
def test_a_run_that_fails_keeps_its_message_out_of_the_log(private: Any) -> None:
    with (private.folder / "test.csv").open("a", encoding="utf-8") as stream:
        stream.write(f"ok,{PLANTED[0]}\r\n")  # an unknown label, which the error quotes
    import hft_core

    with pytest.raises(hft_core.DataError, match=PLANTED[0]):
        private.run(report={"texts": False})
    assert found(private.folder / "runs") == {}
    events = (private.folder / "runs" / "small.live" / "events.jsonl").read_text("utf-8")
    assert "DataError; what it says may quote the data" in events


def test_invented_rows_have_the_form_that_a_task_reads() -> None:
    from hft_plugins.question_answering.task import QuestionAnswering
    from hft_plugins.text_classification.task import TextClassification
    from hft_plugins.text_generation.chat import Chat
    from hft_plugins.text_generation.chat_runtime import refused

    texts = ["one", "二", "three"]
    single = TextClassification(type="text-classification", text="text", label="label")
    assert single.invented(texts) == {"text": texts}
    pair = TextClassification(type="text-classification", text="a", pair="b", label="label").invented(texts)
    assert pair == {"a": texts, "b": ["二", "three", "one"]}
    chat = Chat(type="chat").bind({"messages": [[]]}).invented(texts)
    assert [refused(value) for value in chat["messages"]] == [None] * 3
    answering = QuestionAnswering(type="question-answering").bind(
        {"context": ["a"], "question": ["b"], "answers": [[{"text": "a", "start": 0}]]}
    )
    assert {len(column) for column in answering.invented(texts).values()} == {3}


def test_invented_texts_come_from_the_vocabulary(tokenizers_folder: Path) -> None:
    from tokenizers import Tokenizer

    from hft_core.runtime.text import TextPreprocessor
    from hft_plugins.onnx.golden import SENTENCES, invented

    tokenizer = Tokenizer.from_file(str(tokenizers_folder / "wordpiece.json"))
    settings = {"max_length": 32, "pad_id": 0, "padding_side": "right", "inputs": ["input_ids"], "special": {}}
    texts = invented(TextPreprocessor(tokenizer, settings))
    assert texts[: len(SENTENCES)] == list(SENTENCES)
    assert len(texts) > 40
    assert texts == invented(TextPreprocessor(tokenizer, settings)), "the same on every machine"
    assert not [text for text in texts if "[MASK]" in text or "[PAD]" in text]
    assert invented(object()) == list(SENTENCES), "a preprocessor without a vocabulary"
