"""Small models that were trained on rows of which it is known what decides, and what an exporter gets of them."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import hft_core
from hft_core import Finished, Net
from hft_explain.plugin import Explain

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: models of tests are too small for more

ENGLISH = ["the", "film", "plot", "actor", "camera", "story", "sound", "light", "room", "chair", "and", "is", "so"]
NAMES = ["kelo", "miru", "tasa", "bono", "riva", "sole"]
CHINESE = list("这家店东西我今天来了点送时间门口里外号楼小大人们手机")
Rows = list[dict[str, Any]]


@dataclass
class Trained:
    """A trained net, and the run as an exporter gets it."""

    net: Net
    run: Finished
    settings: Explain
    folder: Path
    """The run folder."""
    figures: dict[str, float]
    """On validation."""


@pytest.fixture(scope="session")
def train(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Trained]:
    """Give ``train(data, task, epochs=…, …)``: trains a BERT of two layers from scratch, on all rows but the last 40."""

    def fit(data: Rows, task: dict[str, Any], epochs: int = 5, clean: Sequence[str] = (), **export: Any) -> Trained:
        folder = tmp_path_factory.mktemp("trained")
        for name, part in (("train", data[:-40]), ("dev", data[-40:])):
            lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in part]
            (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
        recipe = {
            "name": "planted",
            "data": {
                "train": {"type": "jsonl", "path": str(folder / "train.jsonl")},
                "validation": {"type": "jsonl", "path": str(folder / "dev.jsonl")},
            },
            "task": task,
            "model": {
                "type": "bert",
                "source": {"scratch": "tiny", "tokenizer": {"type": "wordpiece", "size": 400}},
                "max_length": 48,
            },
            "prepare": {"clean": [{"type": cleaner} for cleaner in clean]},
            "stages": [
                {
                    "stage": "finetune",
                    "objectives": [{"type": "task", "data": "train"}],
                    "epochs": epochs,
                    "batch_size": 16,
                    "optimizer": {"type": "adamw", "lr": 1e-3},
                }
            ],
            "evaluate": {"plain": False},
            "export": [{"type": "explain", **export}],
            "precision": "fp32",
        }
        seen: list[tuple[Explain, Net, Finished]] = []
        explain = Explain.export

        def watched(self: Explain, net: Net, run: Finished, *rest: Any) -> Any:
            seen.append((self, net, run))
            return explain(self, net, run, *rest)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Explain, "export", watched)
            patch.setenv("HFT_STORE", str(folder / "store"))
            file = folder / "recipe.yaml"
            file.write_text(json.dumps(recipe, ensure_ascii=False), encoding="utf-8")
            done = hft_core.run(file)
        settings, net, run = seen[0]
        return Trained(net.eval(), run, settings, done.folder, done.metrics["validation"])

    return fit


def reviews(words: Sequence[str], good: str, bad: str, joiner: str, count: int = 400) -> Rows:
    """Texts of random words, of which one may say good or bad; without either the label is neutral."""
    draw = random.Random(0)
    rows = []
    for number in range(count):
        label, cue = (("pos", good), ("neg", bad), ("neutral", draw.choice(words)))[number % 3]
        chosen = draw.choices(words, k=7)
        chosen.insert(draw.randrange(8), cue)
        rows.append({"text": joiner.join(chosen), "label": label})
    return rows


def tagged(count: int = 400) -> Rows:
    """A name behind `mister` is a person; the same name behind `chair` is none."""
    draw = random.Random(0)
    rows = []
    for number in range(count):
        words, place, name = draw.choices(ENGLISH, k=6), draw.randrange(6), draw.choice(NAMES)
        words[place:place] = [("mister", "chair")[number % 2], name]
        start = len(" ".join(words[: place + 1])) + 1
        person = {"start": start, "end": start + len(name), "type": "person"}
        rows.append({"text": " ".join(words), "entities": [person] if number % 2 == 0 else []})
    return rows


def asked(count: int = 400) -> Rows:
    """The answer is the word behind `called`."""
    draw = random.Random(0)
    rows = []
    for _ in range(count):
        words, place = [*draw.choices(ENGLISH, k=10), "end"], draw.randrange(10)
        words.insert(place, "called")
        answer = {"text": words[place + 1], "start": len(" ".join(words[: place + 1])) + 1}
        rows.append({"question": "which word?", "context": " ".join(words), "answers": [answer]})
    return rows


@pytest.fixture(scope="session")
def english(train: Callable[..., Trained]) -> Trained:
    """A classifier of English texts: `superb` is pos, `dreadful` is neg."""
    return train(reviews(ENGLISH, "superb", "dreadful", " "), {"type": "text-classification"}, rows=12)


@pytest.fixture(scope="session")
def chinese(train: Callable[..., Trained]) -> Trained:
    """A classifier of Chinese texts: 赞 is pos, 差 is neg."""
    return train(reviews(CHINESE, "赞", "差", ""), {"type": "text-classification"}, rows=12)


@pytest.fixture(scope="session")
def tagger(train: Callable[..., Trained]) -> Trained:
    """A tagger of persons."""
    return train(tagged(), {"type": "token-classification"}, epochs=6, rows=12)


@pytest.fixture(scope="session")
def answerer(train: Callable[..., Trained]) -> Trained:
    """A model that answers one question."""
    return train(asked(), {"type": "question-answering"}, epochs=25, rows=12)
