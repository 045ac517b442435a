"""Text to text from recipe to bundle: teacher forcing, beams, and the same texts as transformers' own generation."""

from __future__ import annotations

import csv
import itertools
import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch

import hft_core
from hft_core import Ragged, RowRandom, Stream
from hft_plugins.text_to_text.objective import Seq2Seq
from hft_plugins.text_to_text.task import TextToText
from hft_plugins.transformers import tokenizer

WORDS, CHARACTERS = ["red", "cat", "sits", "sun"], "猫狗山水"
NEW = 12


def pairs() -> list[tuple[str, str]]:
    """All orders of three words, and of three Chinese characters, each with its reverse; shuffled."""
    made = [(" ".join(some), " ".join(some[::-1])) for some in itertools.permutations(WORDS, 3)] * 4
    made += [("".join(some), "".join(some[::-1])) for some in itertools.permutations(CHARACTERS, 3)] * 4
    random.Random(0).shuffle(made)
    return made


def project(folder: Path, epochs: int, architecture: str = "t5", **task: Any) -> Path:
    rows = pairs()
    for name, part in (("train", rows[:160]), ("dev", rows[160:])):
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream, lineterminator="\n").writerows([("source", "target"), *part])
    source = {
        "scratch": "tiny", "tokenizer": {"type": "bpe", "size": 300}, "architecture": architecture,
        "config": {"hidden_size": 32, "num_attention_heads": 2, "dropout_rate" if architecture == "t5" else "dropout": 0.0},
    }  # fmt: skip
    recipe = {
        "name": "reversed",
        "data": {"train": {"type": "csv", "path": "train.csv"}, "validation": {"type": "csv", "path": "dev.csv"}},
        "task": {"type": "text-to-text", "new_tokens": NEW} | task,
        "model": {"type": "t5", "source": source, "max_length": 32},
        "stages": [
            {
                "stage": "finetune",
                "objectives": [{"type": "task", "data": "train"}],
                "epochs": epochs,
                "batch_size": 16,
                "optimizer": {"type": "adamw", "lr": 1e-2},
            }
        ],
        "export": [{"type": "onnx"}],
        "precision": "fp32",
    }
    file = folder / "recipe.yaml"
    file.write_text(json.dumps(recipe, ensure_ascii=False, indent=1), encoding="utf-8")
    return file


def generated(model: Path, texts: list[str], **how: Any) -> list[str]:
    """What transformers writes, by nothing but the run's own folder."""
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    net, words = AutoModelForSeq2SeqLM.from_pretrained(model).eval(), AutoTokenizer.from_pretrained(model)
    batch = words(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        made = net.generate(**batch, do_sample=False, max_new_tokens=NEW, **how)
    return [text.strip() for text in words.batch_decode(made, skip_special_tokens=True)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return hft_core.run(project(tmp_path_factory.mktemp("reversed"), 3, decoding={"beams": 3}))


def test_it_is_exported(run: Any, proven: Any) -> None:
    assert set(run.metrics["validation"]) == {"chrf", "exact-match"}
    proven(run.bundle)
    described = json.loads((run.bundle / "bundle.json").read_text("utf-8"))
    assert list(described["graphs"]) == ["encoder", "decoder"]
    assert described["task"]["settings"]["decoding"]["beams"] == 3
    assert described["requires"] == {}


def test_the_bundle_writes_what_transformers_writes(run: Any) -> None:
    texts = ["red cat sits", "山猫水", "sun", "狗 the sun 水 red cat sits sits"]
    answers = run.predict(texts)
    assert [one["text"].strip() for one in answers] == generated(run.model, texts, num_beams=3)
    assert [run.predict([text])[0]["text"] for text in texts] == [one["text"] for one in answers]
    assert set(answers[0]) == {"text", "margin"}


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["bart", "marian"])
def test_other_architectures_from_nothing(tmp_path: Path, architecture: str, proven: Any) -> None:
    run = hft_core.run(project(tmp_path, 3, architecture, decoding={"beams": 2}))
    proven(run.bundle)
    config = json.loads((run.model / "config.json").read_text("utf-8"))
    assert config["model_type"] == architecture
    texts = ["red cat sits", "山猫水", "sun", "狗 the sun 水 red cat sits sits"]
    assert [one["text"].strip() for one in run.predict(texts)] == generated(run.model, texts, num_beams=2)
    again = tmp_path / "again"
    again.mkdir()
    file = project(again, 1, architecture)
    recipe = json.loads(file.read_text("utf-8"))
    recipe["model"]["source"] = str(run.folder)
    file.write_text(json.dumps(recipe), encoding="utf-8")
    second = hft_core.run(file, overrides=["export=[]"])
    assert json.loads((second.model / "config.json").read_text("utf-8"))["model_type"] == architecture


@pytest.mark.slow
def test_it_learns_to_reverse(tmp_path: Path) -> None:
    figures = hft_core.run(project(tmp_path, 50), overrides=["export=[]"]).metrics["validation"]
    assert figures["exact-match"] > 0.5  # by chance: 0.04
    assert figures["chrf"] > 0.4  # 0.49 to 0.6 by how a processor rounds


def test_it_is_predicted_without_torch(run: Any, hft: Any, tmp_path: Path) -> None:
    for name in ("torch", "transformers"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('blocked')", encoding="utf-8")
    answered = hft("predict", run.bundle, "red cat sits", "山猫水", PYTHONPATH=str(tmp_path))
    assert answered.code == 0, answered.err
    texts = [json.loads(line)["text"] for line in answered.out.splitlines()]
    assert texts == [one["text"] for one in run.predict(["red cat sits", "山猫水"])]


def test_targets_are_closed_and_moved_on_by_the_start() -> None:
    texts = [text for pair in pairs()[:40] for text in pair]
    preprocessor = tokenizer.for_scratch(tokenizer.train("bpe", 300, texts, "t5"), "t5", 16)
    task = TextToText(type="text-to-text", text="a", target="b", new_tokens=8)
    columns = {"a": ["red cat", "猫"], "b": ["cat red sits", "猫狗"]}
    stream = Stream(preprocessor, task.roles(), task)
    objective = Seq2Seq(type="seq2seq", data="train")
    arrays = objective.encode(columns, stream)
    labels, end = arrays["labels"], preprocessor.special["eos"]
    assert isinstance(labels, Ragged)
    assert [labels[row][-1] for row in (0, 1)] == [end, end]
    batch = objective.batch(arrays, RowRandom(0, arrays["row"]), stream)
    assert objective.count(batch) == labels.lengths.sum()
    for row in (0, 1):
        wanted = [preprocessor.special["decoder_start"], *labels[row][:-1].tolist()]
        assert batch["decoder_input_ids"][row, : len(wanted)].tolist() == wanted
    flat = batch["decoder_input_ids"].reshape(-1)
    inner = batch["targets"] != end
    assert batch["targets"][inner].tolist() == flat[batch["positions"][inner] + 1].tolist()


@pytest.mark.parametrize(
    ("columns", "wanted"),
    [
        (["source", "target"], ("source", "target")),
        (["en", "de"], ("en", "de")),
        (["id", "document", "summary"], ("document", "summary")),
        (["原文", "译文"], ("原文", "译文")),
    ],
)
def test_columns_are_found(columns: list[str], wanted: tuple[str, str]) -> None:
    task = TextToText(type="text-to-text").bind({name: ["x"] for name in columns})
    assert (task.text, task.target) == wanted
    assert task.refusals({wanted[0]: ["a", " ", "b", 3], wanted[1]: ["a", "b", None, "c"]}) == [
        None, "empty-text", "empty-target", "text-is-no-text",
    ]  # fmt: skip


def test_columns_that_do_not_tell_are_asked_for() -> None:
    with pytest.raises(hft_core.DataError, match=r"does not tell which column is the target.*Set `target:`"):
        TextToText(type="text-to-text").bind({"a": [], "b": [], "c": []})
    with pytest.raises(hft_core.DataError, match="no column 'z' for the text"):
        TextToText(type="text-to-text", text="z").bind({"a": [], "target": []})
