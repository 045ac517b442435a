"""A few rows in two languages, a recipe of a tiny fresh model, and the command `hft`."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

import hft_core
from hft_core.runtime.text import TextPreprocessor

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: models of tests are too small for more

FILLERS = ["the", "film", "a", "room", "was", "it", "said", "today", "again", *"这家店的菜我今天"]
WORDS = {"neg": ("awful", "差"), "pos": ("lovely", "好")}
Rows = list[dict[str, Any]]


def rows(per_label: int, seed: int = 0, labels: tuple[str, ...] = ("neg", "pos")) -> Rows:
    """Texts of a few words, one of which says the label; every second one is Chinese."""
    draw = random.Random(seed)
    made = []
    for number in range(per_label):
        for label in labels:
            words = [*draw.sample(FILLERS, 5), WORDS[label][number % 2]]
            draw.shuffle(words)
            made.append({"text": " ".join(words), "label": label})
    return made


def write(file: Path, content: Rows) -> None:
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content), "utf-8")


@dataclass
class Project:
    """A folder with rows, and a recipe (a dict, to be changed at will)."""

    folder: Path
    recipe: dict[str, Any]

    def write(self) -> Path:
        file = self.folder / "recipe.yaml"
        file.write_text(json.dumps(self.recipe, ensure_ascii=False, indent=1), "utf-8")
        return file

    def run(self) -> hft_core.Run:
        return hft_core.run(self.write())

    def command(self, *arguments: str) -> subprocess.Popen[str]:
        command = [str(Path(sys.executable).with_name("hft")), *arguments]
        return subprocess.Popen(command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def checked(self) -> tuple[int, str]:
        """Give the exit code of `hft check` on the recipe, and what it says."""
        process = self.command("check", str(self.write()))
        out, errors = process.communicate()
        assert "Traceback" not in out + errors
        return process.returncode, errors

    def refused(self) -> tuple[int, str]:
        """Run the recipe in this process, where torch is imported already; give the exit code and the words of its error."""
        with pytest.raises(hft_core.HftError) as caught:
            self.run()
        return caught.value.exit_code, str(caught.value)

    def measured(self) -> list[str]:
        """The stage of each epoch that a run that failed had measured."""
        file = self.folder / "runs" / f"{self.recipe['name']}.live" / "events.jsonl"
        events = map(json.loads, file.read_text("utf-8").splitlines())
        return [event["stage"] for event in events if event["event"] == "validation"]


def stage(**settings: Any) -> dict[str, Any]:
    return {
        "stage": "finetune",
        "epochs": 2,
        "batch_size": 16,
        "optimizer": {"type": "adamw", "lr": 1e-3, "weight_decay": 0.0},
        **settings,
    }


CONTRASTIVE = stage(objectives=[{"type": "contrastive-pairs", "data": "train"}], techniques=[{"type": "fitted-head"}])


@pytest.fixture
def make_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Project]:
    """Give ``make_project(name)``: a recipe in the manner of SetFit, with a folder of its own."""
    monkeypatch.delenv("HFT_STORE", raising=False)

    def make(name: str = "few") -> Project:
        folder = tmp_path / name
        folder.mkdir()
        write(folder / "train.jsonl", rows(8))
        write(folder / "dev.jsonl", rows(8, seed=1))
        write(folder / "test.jsonl", rows(40, seed=2))
        (folder / "unlabelled.txt").write_text("\n".join(row["text"] for row in rows(30, seed=3)) + "\n", "utf-8")
        data = {split: {"type": "jsonl", "path": f"{file}.jsonl"} for split, file in
                (("train", "train"), ("validation", "dev"), ("test", "test"))}  # fmt: skip
        return Project(
            folder,
            {
                "name": "few",
                "data": data,
                "task": {"type": "few-shot-classification"},
                "model": {
                    "type": "bert",
                    "source": {"scratch": "tiny", "tokenizer": {"type": "wordpiece", "size": 300}},
                    "max_length": 24,
                },
                "stages": [CONTRASTIVE],
                "evaluate": {"metrics": [{"type": "accuracy"}], "plain": False},
                "precision": "fp32",
            },
        )

    return make


@pytest.fixture
def project(make_project: Callable[..., Project]) -> Project:
    return make_project()


VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "it", "was", "great", "bad", ".", "good", "film", ",", "a"]
VOCABULARY += list("很好差总之，体育财经新闻。")


def preprocessor(side: str = "right", max_length: int = 12, mask: bool = True) -> TextPreprocessor:
    """A tokenizer of words and Chinese characters, with BERT's frame; a word that it lacks is [UNK]."""
    vocabulary = {word: index for index, word in enumerate(VOCABULARY)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.add_special_tokens(["[MASK]"])
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"]))
    special = {"pad": 0, "unk": 1, "cls": 2, "sep": 3} | ({"mask": 4} if mask else {})
    settings = {
        "max_length": max_length,
        "pad_id": 0,
        "padding_side": side,
        "inputs": ["input_ids", "attention_mask"],
        "special": special,
    }
    return TextPreprocessor(tokenizer, settings)


def words_of(ids: Any) -> str:
    return " ".join(VOCABULARY[index] for index in ids)
