"""Runs that are killed at random moments, and then given again, end with the same bytes as one that was left alone.

Shapes 1 to 3 (tagging, text generation with a cache graph, a joint stage), each from raw rows to a bundle: with
HFT_THOROUGH 40 SIGKILLs and 10 SIGTERMs in all, at moments spread over preparation, both kinds of stages, saving and export;
otherwise four SIGKILLs and one SIGTERM each.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.repeats import times

SHAPES = ("tagging", "generation", "joint")
KILLS = {"tagging": times(2, 14), "generation": times(2, 13), "joint": times(2, 13)}
STOPS = {"tagging": times(1, 4), "generation": times(1, 3), "joint": times(1, 3)}
NEVER = 120.0
"""Seconds after which a small run counts as stuck."""

PEOPLE = ["Anna", "Bob Lee", "吴重阳", "Zoë"]
PLACES = ["Paris", "New York", "北京"]


def tagged(count: int, seed: int) -> str:
    """JSON Lines: texts with people and places."""
    draw = random.Random(seed)
    lines = []
    for _ in range(count):
        person, place = draw.choice(PEOPLE), draw.choice(PLACES)
        text = f"{person} {draw.choice(['lives in', 'left', '住在'])} {place} {draw.choice(['today', 'again', '。'])}"
        spans = [{"start": 0, "end": len(person), "type": "person"}]
        start = text.index(place, len(person))
        spans.append({"start": start, "end": start + len(place), "type": "place"})
        lines.append(json.dumps({"text": text, "entities": spans}, ensure_ascii=False))
    return "\n".join(lines) + "\n"


def plain(count: int, seed: int) -> str:
    draw = random.Random(seed)
    words = ["the", "film", "was", "good", "bad", "long", "这家", "店", "很", "好", "today"]
    return "\n".join(" ".join(draw.choices(words, k=draw.randint(3, 14))) for _ in range(count)) + "\n"


def labelled(count: int, seed: int) -> str:
    lines = plain(count, seed).splitlines()
    return "text,label\n" + "".join(f"{line},{'pos' if 'good' in line else 'neg'}\n" for line in lines)


def recipe_of(shape: str, workers: int) -> dict[str, Any]:
    """A small recipe: variants, a pretrain and a finetune stage with micro-batches, an export."""
    bert = shape != "generation"
    language = "masked-lm" if bert else "causal-lm"
    kind = {"tagging": "jsonl", "generation": "text", "joint": "csv"}[shape]
    data = {"tagging": "rows.jsonl", "generation": "rows.txt", "joint": "rows.csv"}[shape]
    task = {
        "tagging": {"type": "token-classification"},
        "generation": {"type": "text-generation", "new_tokens": 4},
        "joint": {"type": "text-classification", "text": "text", "label": "label"},
    }[shape]
    objectives: list[dict[str, Any]] = [{"type": "task", "data": "train"}]
    if shape == "joint":
        objectives.append({"type": language, "data": "corpus", "weight": {"from": 0.4, "to": 0.0}})
    stage = {"batch_size": 12, "micro_batch": 5, "checkpoint_minutes": 0, "workers": workers}
    return {
        "name": "killed",
        "data": {
            "train": {"type": kind, "path": data},
            "split": {"validation": 0.3},
            "corpus": {"type": "text", "path": "corpus.txt"},
        },
        "task": task,
        "model": {
            "type": "bert" if bert else "gpt",
            "source": {"scratch": "tiny", "tokenizer": {"type": "wordpiece" if bert else "bpe", "size": 400}},
            "max_length": 48,
        },
        "prepare": {"clean": [{"type": "whitespace"}], "augment": [{"type": "random-swap", "copies": 1}]},
        "stages": [
            {"stage": "pretrain", "name": "adapt", "objectives": [{"type": language, "data": "corpus"}], "epochs": 2}
            | stage,
            {"stage": "finetune", "name": "tune", "objectives": objectives, "epochs": 2,
             "techniques": [{"type": "ema"}]} | stage,
        ],
        "evaluate": {"plain": False},
        "export": [{"type": "onnx"}],
        "precision": "fp32",
    }  # fmt: skip


@dataclass
class Attempts:
    """One shape's recipe in a folder of its own, given again and again."""

    shape: str
    folder: Path
    hash_seed: int = 0

    def write(self, workers: int) -> None:
        self.folder.mkdir(parents=True)
        (self.folder / "rows.jsonl").write_text(tagged(60, 1), encoding="utf-8")
        (self.folder / "rows.txt").write_text(plain(60, 2), encoding="utf-8")
        (self.folder / "rows.csv").write_text(labelled(60, 3), encoding="utf-8")
        (self.folder / "corpus.txt").write_text(plain(60, 4), encoding="utf-8")
        recipe = json.dumps(recipe_of(self.shape, workers), ensure_ascii=False, indent=1)
        (self.folder / "recipe.yaml").write_text(recipe, encoding="utf-8")

    def start(self) -> subprocess.Popen[str]:
        self.hash_seed += 1
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HFT_")}
        ours = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "PYTHONHASHSEED": str(self.hash_seed)}
        return subprocess.Popen(
            [sys.executable, "-m", "hft_core", "run", "recipe.yaml"],
            cwd=self.folder, env=kept | ours, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            encoding="utf-8",
        )  # fmt: skip

    def done(self) -> bool:
        """Whether a run has come to its end, behind which a signal ends the process as it ends any other."""
        return (self.folder / "runs" / "killed" / "run.json").is_file()

    def finish(self) -> dict[str, bytes]:
        """Let the command run to its end; gives what must be the same every time, paths and times left out."""
        process = self.start()
        _, errors = process.communicate(timeout=NEVER)
        assert process.returncode == 0, errors
        run = self.folder / "runs" / "killed"
        files = [
            file
            for pattern in ("model/**/*.safetensors", "model/tokenizer.json", "bundle/onnx/*", "bundle/*.json*")
            for file in sorted(run.glob(pattern))
        ]
        found = {file.relative_to(run).as_posix(): file.read_bytes() for file in files}
        described = json.loads(found["bundle/bundle.json"])
        del described["created"]
        return found | {"bundle/bundle.json": json.dumps(described).encode()}


@pytest.fixture(scope="module", params=SHAPES)
def alone(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, dict[str, bytes], float]:
    """A shape, what its run leaves that nobody disturbs, and how long that takes."""
    attempts = Attempts(request.param, tmp_path_factory.mktemp("alone") / "project")
    attempts.write(workers=0)
    began = time.monotonic()
    products = attempts.finish()
    assert {"model/model.safetensors", "bundle/onnx/model.onnx", "bundle/golden.jsonl"} <= set(products)
    return request.param, products, time.monotonic() - began


def folders(root: Path) -> Callable[[], Path]:
    """New folders, one after the other."""
    numbers = iter(range(1000))
    return lambda: root / f"attempt-{next(numbers)}"


@pytest.mark.slow
def test_killed_at_random_moments(alone: Any, tmp_path: Path) -> None:
    shape, wanted, duration = alone
    draw = random.Random(f"kill {shape}")
    new = folders(tmp_path)
    kills = runs = 0
    while kills < KILLS[shape]:
        attempts = Attempts(shape, new())
        attempts.write(workers=2 if runs % 2 else 0)
        runs += 1
        for _ in range(100):
            process = attempts.start()
            try:
                _, errors = process.communicate(timeout=draw.uniform(0.05, duration))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.communicate()
                kills += 1
                if kills < KILLS[shape]:
                    continue
            else:
                assert process.returncode == 0, errors
            break
        assert attempts.finish() == wanted, f"{shape}: after {kills} kills something differs"


@pytest.mark.slow
def test_stopped_at_random_moments(alone: Any, tmp_path: Path) -> None:
    """SIGTERM while steps are carried out: exit code 75, and the same command goes on."""
    shape, wanted, _ = alone
    draw = random.Random(f"stop {shape}")
    new = folders(tmp_path)
    stops = 0
    while stops < STOPS[shape]:
        attempts = Attempts(shape, new())
        attempts.write(workers=2)
        for _ in range(100):
            process = attempts.start()
            assert process.stderr is not None
            moments = ("first trying", "continuing at", "comparing", ": done in")
            for line in process.stderr:
                if draw.random() < 0.2 and any(moment in line for moment in moments):
                    break
            time.sleep(draw.uniform(0, 0.3))
            process.send_signal(signal.SIGTERM)
            errors = process.stderr.read()
            code = process.wait(timeout=NEVER)
            if code == 0 or (code == -signal.SIGTERM and attempts.done()):  # its last step is done before a stop
                break
            assert code == 75, errors
            stops += 1
            if stops >= STOPS[shape]:
                break
        assert attempts.finish() == wanted, f"{shape}: after {stops} stops something differs"
