"""Peer baseline: sentence-transformers' trainer with MultipleNegativesRankingLoss, as its documentation shows it.

usage: peer_embeddings.py MODEL FOLDER [--epochs 3] [--seed 0] [--lr 5e-5] [--batch 64] [--length 128]

Reads FOLDER/train.jsonl and FOLDER/test.jsonl with `text` and `positive`; 0 epochs measure the model as it is. Prints one
JSON line with `mrr`, `recall@1` and `recall@10` of the test file, counted as hft does, and `train_cpu_s`, user and system
of `train()` alone.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import transformers
from datasets import Dataset
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
    losses,
)

from hft_core.training.precision import resolve
from hft_plugins.embeddings.metrics import ranks


def main() -> None:
    options = _options()
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    transformers.set_seed(options.seed)
    model = SentenceTransformer(str(options.model), device="cpu")
    model.max_seq_length = options.length
    cpu = _train(model, options) if options.epochs else 0.0
    line = {"seed": options.seed, "train_cpu_s": round(cpu, 2)} | _measured(model.float(), _rows(options, "test"))
    print(json.dumps(line))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=float, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lr", type=float, default=5e-5)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--length", type=int, default=128)
    return parser.parse_args()


def _rows(options: argparse.Namespace, split: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (options.folder / f"{split}.jsonl").read_text("utf-8").splitlines()]


def _train(model: SentenceTransformer, options: argparse.Namespace) -> float:
    with tempfile.TemporaryDirectory() as out:
        settings: dict[str, Any] = {
            "output_dir": out,
            "num_train_epochs": options.epochs,
            "per_device_train_batch_size": options.batch,
            "learning_rate": options.lr,
            "warmup_steps": 0.1,
            "seed": options.seed,
            "bf16": resolve("auto") == "bf16",
            "use_cpu": True,
            "batch_sampler": "no_duplicates",
            "report_to": [],
            "save_strategy": "no",
            "logging_strategy": "no",
            "disable_tqdm": True,
        }
        trainer = SentenceTransformerTrainer(
            model=model,
            args=SentenceTransformerTrainingArguments(**settings),
            train_dataset=Dataset.from_list(_rows(options, "train")),
            loss=losses.MultipleNegativesRankingLoss(model),
        )
        began = time.process_time()
        trainer.train()
        return time.process_time() - began


def _measured(model: SentenceTransformer, rows: list[dict[str, str]]) -> dict[str, float]:
    sides = [
        model.encode([row[name] for row in rows], show_progress_bar=False).tolist() for name in ("text", "positive")
    ]
    found = [{"vector": one, "positive_vector": two} for one, two in zip(*sides, strict=True)]
    truths = [{"anchor": row["text"], "match": row["positive"], "group": None} for row in rows]
    places = ranks(found, truths)
    return {
        "mrr": float((1 / places).mean()),
        "recall@1": float((places <= 1).mean()),
        "recall@10": float((places <= 10).mean()),
    }


main()
