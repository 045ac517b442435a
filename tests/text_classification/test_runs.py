"""Several labels, numbers, pairs of texts and a tuned threshold: from files to predictions without torch."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import hft_core
from hft_core.data.table import read_all

SIGNS = {"味道": ("难吃", "太咸"), "速度": ("太慢", "迟到"), "price": ("expensive", "overpriced")}
TOKENIZER = {"type": "wordpiece", "size": 300}


def lines(count: int, seed: int) -> list[dict[str, Any]]:
    """Texts of half a dozen words with any number of labels, none too, and how many there are as `score`."""
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        labels = [label for label in SIGNS if draw.random() < 0.4]
        words = [
            *draw.choices(["the", "order", "今天", "外卖", "was"], k=4),
            *(draw.choice(SIGNS[one]) for one in labels),
        ]
        draw.shuffle(words)
        rows.append({"text": f"{' '.join(words)} n{seed}x{number}", "labels": labels, "score": 10 * len(labels) + 5})
    return rows


def write(file: Path, rows: Sequence[dict[str, Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".jsonl":
        file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        return
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def project(
    folder: Path, task: dict[str, Any], train: Sequence[dict[str, Any]], dev: Sequence[dict[str, Any]] | None,
    kind: str = "jsonl", **others: Any,
) -> Path:  # fmt: skip
    """Write the rows, and a recipe that trains on them for seconds."""
    write(folder / f"train.{kind}", train)
    data: dict[str, Any] = {"train": {"type": kind, "path": f"train.{kind}"}}
    if dev:
        write(folder / f"dev.{kind}", dev)
        data["validation"] = {"type": kind, "path": f"dev.{kind}"}
    finetune = {
        "stage": "finetune",
        "objectives": [{"type": "task", "data": "train"}],
        "epochs": 10,
        "batch_size": 16,
        "optimizer": {"type": "adamw", "lr": 1e-3},
    }
    recipe = {
        "name": "run",
        "data": data,
        "task": task,
        "model": {"type": "bert", "source": {"scratch": "tiny", "tokenizer": TOKENIZER}, "max_length": 32},
        "stages": [finetune],
        "export": [{"type": "onnx"}],
        "precision": "fp32",
    }
    file = folder / "recipe.yaml"
    file.write_text(json.dumps(recipe | others, ensure_ascii=False, indent=1), encoding="utf-8")
    return file


@pytest.fixture
def without_torch(tmp_path: Path) -> dict[str, str]:
    """Environment of a process that cannot import torch."""
    for name in ("torch", "transformers"):
        (tmp_path / "block" / name).mkdir(parents=True)
        (tmp_path / "block" / name / "__init__.py").write_text("raise ImportError('blocked')", encoding="utf-8")
    return {"PYTHONPATH": str(tmp_path / "block")}


def answers(outcome: Any) -> list[dict[str, Any]]:
    assert outcome.code == 0, outcome.err
    return [json.loads(line) for line in outcome.out.splitlines()]


def report_of(run: Any) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run.folder / "report.json").read_text("utf-8"))
    return content


@pytest.mark.slow
def test_several_labels(
    tmp_path: Path, hft: Any, proven: Callable[[Path], None], without_torch: dict[str, str]
) -> None:
    broken = [{"text": "好", "labels": ["味道", "味道"], "score": 1}, {"text": "", "labels": [], "score": 1}]
    task = {"type": "multi-label-classification", "text": "text"}
    run = hft_core.run(project(tmp_path / "sets", task, [*lines(400, 0), *broken], lines(150, 1)))
    figures = run.metrics["validation"]
    assert figures["multi-label-f1"] > 0.85
    assert figures["macro-f1"] > 0.8
    proven(run.bundle)

    report = report_of(run)
    assert report["ledger"][0]["quarantined"] == {"repeated-label": 1, "empty-text": 1}
    assert {"frequent-set", "tfidf", "probe"} <= set(report["baselines"])
    tfidf = report["baselines"]["tfidf"]["validation"]
    assert tfidf["multi-label-f1"]["value"] > 0.9  # words tell it all
    assert {entry["label"] for entry in report["per_class"]} == set(SIGNS)
    assert report["confusion"] is None
    assert "Most frequent set of labels" in (run.folder / "report.html").read_text("utf-8")

    facts = json.loads((run.bundle / "bundle.json").read_text("utf-8"))["task"]["facts"]
    assert len(facts["thresholds"]) == 3
    assert facts["thresholds"] != [0.5] * 3
    dev = lines(150, 1)
    write(tmp_path / "asked.jsonl", [{"text": row["text"]} for row in dev])
    found = answers(hft("predict", run.bundle, "--file", tmp_path / "asked.jsonl", **without_torch))
    hits = [set(one["labels"]) == set(row["labels"]) for one, row in zip(found, dev, strict=True)]
    assert sum(hits) / len(hits) == pytest.approx(figures["subset-accuracy"])
    assert [] in [one["labels"] for one in found]
    assert set(found[0]["scores"]) == set(SIGNS)


@pytest.mark.slow
def test_a_number(tmp_path: Path, hft: Any, proven: Callable[[Path], None], without_torch: dict[str, str]) -> None:
    rows = [{"text": row["text"], "score": row["score"]} for row in lines(400, 0)]
    rows += [{"text": "外卖", "score": "nan"}, {"text": "外卖", "score": "many"}]
    dev = [{"text": row["text"], "score": row["score"]} for row in lines(150, 1)]
    recipe = project(tmp_path / "number", {"type": "regression"}, rows, dev, kind="csv")
    run = hft_core.run(recipe, overrides=["stages.0.optimizer.lr=5e-4"])
    figures = run.metrics["validation"]
    assert figures["pearson"] > 0.8
    assert figures["r2"] > 0.4  # the mean: 0
    assert figures["mse"] == pytest.approx((1 - figures["r2"]) * _variance([row["score"] for row in dev]), rel=1e-6)
    proven(run.bundle)

    report = report_of(run)
    assert report["ledger"][0]["quarantined"] == {"not-a-number": 2}
    assert {"mean", "tfidf-ridge", "probe-ridge"} <= set(report["baselines"])
    assert report["baselines"]["mean"]["validation"]["r2"]["value"] < 0.01
    off = [abs(float(row["truth"]) - float(row["predicted"])) for row in report["errors"]]
    assert off == sorted(off, reverse=True)
    few, many = answers(hft("predict", run.bundle, "今天 外卖", "太慢 太咸 expensive", **without_torch))
    assert set(few) == {"text", "score"}
    assert few["score"] + 3 < many["score"]


def _variance(numbers: list[float]) -> float:
    mean = sum(numbers) / len(numbers)
    return sum((number - mean) ** 2 for number in numbers) / len(numbers)


def pairs(count: int, seed: int) -> list[dict[str, Any]]:
    """Two texts: `yes` where the first says 咸 and the second slow; neither tells it alone, nor both in another order."""
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        words = draw.choice([("咸", "slow"), ("咸", "咸"), ("slow", "slow"), ("slow", "咸"), ("咸", "slow")])
        label = "yes" if words == ("咸", "slow") else "no"
        rows.append({"question": f"{words[0]} n{seed}x{number}", "answer": f"it is {words[1]}", "label": label})
    return rows


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bert", "gpt"])
def test_pairs_of_texts(
    kind: str, tmp_path: Path, hft: Any, proven: Callable[[Path], None], without_torch: dict[str, str]
) -> None:
    task = {"type": "text-classification", "text": "question", "pair": "answer", "threshold": "f1"}
    tokenizer = TOKENIZER if kind == "bert" else {"type": "bpe", "size": 300}
    model = {"type": kind, "source": {"scratch": "tiny", "tokenizer": tokenizer}, "max_length": 32}
    recipe = project(tmp_path / "pairs", task, pairs(400, 0), pairs(150, 1), model=model)
    run = hft_core.run(recipe, overrides=["stages.0.epochs=12", "prepare={clean: [{type: unicode}]}"])
    assert run.metrics["validation"]["accuracy"] > 0.9  # the most frequent label: 0.6
    proven(run.bundle)
    described = json.loads((run.bundle / "bundle.json").read_text("utf-8"))
    assert described["text"] == ["question", "answer"]
    assert "threshold" in described["task"]["facts"]
    assert not (run.bundle / "predict.py").exists()
    asked = [
        {"question": "咸 n1x5", "answer": "it is slow", "id": 7},
        {"question": "slow n1x5", "answer": "it is 咸", "id": 8},
    ]
    write(tmp_path / "asked.jsonl", asked)
    found = answers(hft("predict", run.bundle, "--file", tmp_path / "asked.jsonl", **without_torch))
    assert [(row["id"], row["label"]) for row in found] == [(7, "yes"), (8, "no")]
    half = hft("predict", run.bundle, "咸", **without_torch)
    assert half.code != 0
    assert "answer" in half.err


def test_the_second_text_is_not_taken_for_the_label() -> None:
    from hft_plugins.text_classification.task import TextClassification

    sample = {"premise": ["one two", "three", "four"], "hypothesis": ["same"] * 3, "gold": ["x", "y", "x"]}
    bound = TextClassification(type="text-classification", pair="hypothesis").bind(sample)
    assert (bound.text, bound.pair, bound.label) == ("premise", "hypothesis", "gold")


def test_cleaners_and_augmenters_see_both_texts(tmp_path: Path, hft_here: Any) -> None:
    from hft_core.data.augmentation import with_variants
    from hft_core.data.cleaning import clean_texts
    from hft_core.data.ledger import Ledger
    from hft_core.data.table import ROW
    from hft_plugins.augmenters.random_swap import RandomSwap
    from hft_plugins.cleaners.html import HtmlCleaner
    from hft_plugins.text_classification.task import TextClassification

    rows = {"a": ["<b>green</b> apples taste fresh"], "b": ["&amp; ripe pears smell"], "label": ["x"], ROW: [1]}
    roles = TextClassification(type="text-classification", text="a", pair="b").bind(rows).roles()
    [cleaned] = clean_texts([rows], [HtmlCleaner(type="html")], roles, Ledger(), drop_empty=True)
    assert cleaned["a"] == ["green apples taste fresh"]
    assert cleaned["b"] == ["& ripe pears smell"]
    [_, variant] = with_variants([cleaned], [RandomSwap(type="random-swap", rate=0.9)], roles, 0, Ledger())
    assert variant["a"] != cleaned["a"]
    assert variant["b"] != cleaned["b"]


@pytest.mark.parametrize("texts", [("short", "a very long text " * 20), ("a very long text " * 20, "short")])
def test_of_a_long_pair_the_longer_text_is_cut(texts: tuple[str, str]) -> None:
    from hft_core.runtime.text import TextPreprocessor
    from hft_plugins.text_classification.runtime import encode
    from hft_plugins.transformers.tokenizer.scratch import for_scratch, train

    tokenizer = train("wordpiece", 200, ["short a very long text"] * 3, "bert")
    preprocessor: TextPreprocessor = for_scratch(tokenizer, "bert", 24)
    arrays = encode({"text": "a", "pair": "b"}, {"a": [texts[0]], "b": [texts[1]]}, preprocessor, {})
    ids, types = arrays["input_ids"][0], arrays["token_type_ids"][0]
    assert len(ids) == 24
    short = len(preprocessor.encode(["short"])["input_ids"][0]) - 2
    halves = [int((types == half).sum()) for half in (0, 1)]
    assert min(halves) <= short + 2  # all of it, and its special tokens
    assert sum(halves) == 24


@pytest.mark.parametrize(
    ("lengths", "kept"), [((3, 4), (3, 4)), ((10, 2), (6, 2)), ((2, 10), (2, 6)), ((10, 10), (4, 4)), ((0, 3), (0, 3))]
)
def test_a_tokenizer_without_a_separator_gets_its_end_of_text_token(
    lengths: tuple[int, int], kept: tuple[int, int]
) -> None:
    from hft_plugins.transformers.tokenizer.scratch import for_scratch, train

    preprocessor = for_scratch(train("bpe", 260, ["ab"], "gpt"), "gpt", 10)
    first, second = ("a" * lengths[0], "b" * lengths[1])
    (one,), (two,) = preprocessor.bare(["a", "b"])
    end = preprocessor.special["eos"]
    found = preprocessor.encode([first, "a"], [second, "b"])["input_ids"]
    assert found[0].tolist() == [one] * kept[0] + [end] + [two] * kept[1] + [end]
    assert found[1].tolist() == [one, end, two, end]


def test_a_rare_label_stays_in_the_training_split(tmp_path: Path) -> None:
    """Of 200 rows a tenth is set aside; the label that two rows have must not be among it."""
    rows = lines(200, 0)
    for number in (17, 90):
        rows[number]["labels"] = ["稀有", *rows[number]["labels"]]
    recipe = project(tmp_path, {"type": "multi-label-classification", "text": "text"}, rows, None)
    prepared = _prepare(recipe)
    train, validation = (read_all(prepared / f"{split}.arrow")["labels"] for split in ("train", "validation"))
    assert sum("稀有" in labels for labels in train) == 2
    assert 14 <= len(validation) <= 26
    assert {label for labels in validation for label in labels} == set(SIGNS)


def _prepare(recipe: Path) -> Path:
    """Carry out the preparation of the training source alone; gives its folder."""
    from hft_core.data.prepare import prepare_train
    from hft_core.recipe import load_recipe
    from hft_core.registry import load_registry

    loaded = load_recipe(recipe, load_registry()).recipe
    out = recipe.parent / "prepared"
    out.mkdir()
    assert loaded.task is not None
    prepare_train(loaded.task, loaded.data.sources["train"], {"validation": 0.1}, [], out)
    return out


@pytest.mark.parametrize(
    ("task", "metric", "said"),
    [
        (
            {"type": "text-classification", "text": "text", "label": "score"},
            "mse",
            "nothing in this recipe gives what 'mse'",
        ),
        (
            {"type": "regression", "text": "text"},
            "accuracy",
            "nothing in this recipe gives what 'accuracy' needs (label)",
        ),
        (
            {"type": "multi-label-classification", "text": "text"},
            "f1",
            "nothing in this recipe gives what 'f1' needs (label)",
        ),
    ],
)
def test_check_refuses_a_metric_of_another_task(
    task: dict[str, Any], metric: str, said: str, tmp_path: Path, hft_here: Any
) -> None:
    recipe = project(tmp_path, task, lines(4, 0), lines(4, 1), evaluate={"metrics": [{"type": metric}]})
    outcome = hft_here("check", recipe)
    assert outcome.code == 2
    assert said in outcome.err


def test_check_refuses_an_objective_of_another_task(tmp_path: Path, hft_here: Any) -> None:
    stage = {"stage": "finetune", "objectives": [{"type": "classification", "data": "train"}]}
    task = {"type": "multi-label-classification", "text": "text"}
    outcome = hft_here("check", project(tmp_path, task, lines(4, 0), lines(4, 1), stages=[stage]))
    assert outcome.code == 2
    assert "its objective is multi-label" in outcome.err


def test_check_refuses_a_model_that_cannot_carry_the_task(tmp_path: Path, hft_here: Any) -> None:
    model = {"type": "t5", "source": {"scratch": "tiny", "tokenizer": {"type": "unigram", "size": 300}}}
    outcome = hft_here("check", project(tmp_path, {"type": "regression"}, lines(4, 0), lines(4, 1), model=model))
    assert outcome.code == 2
    assert "sequence-classification" in outcome.err


@pytest.mark.parametrize(
    ("task", "row", "said"),
    [
        ({"type": "multi-label-classification", "text": "text"}, {"labels": ["新"]}, "'新' (1 rows)"),
        ({"type": "text-classification", "text": "text", "label": "score"}, {"score": 77}, "'77' (1 rows)"),
    ],
)
def test_a_label_that_train_lacks_is_named_with_its_split(
    task: dict[str, Any], row: dict[str, Any], said: str, tmp_path: Path, hft_here: Any
) -> None:
    dev = lines(20, 1)
    dev[3] |= row
    outcome = hft_here("run", project(tmp_path, task, lines(40, 0), dev))
    assert outcome.code == 3
    assert "data.validation" in outcome.err
    assert said in outcome.err
