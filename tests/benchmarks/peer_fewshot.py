"""Peer baseline: SetFit, as its documentation shows it. Runs in an environment of its own, which needs setfit and torch only.

usage: peer_fewshot.py MODEL TRAIN.jsonl TEST.jsonl [--seed 0] [--iterations N]

Everything is the library's default, but the number of pairs where --iterations is given: so many pairs of each sort per row,
as Tunstall et al. 2022 draw them (20); the default takes all pairs there are, and as many alike as unlike ones. Prints one JSON
line with `accuracy` and `train_cpu_s`, user and system of `Trainer.train()` alone: the model is loaded before, the test is
predicted behind it.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
import transformers
from datasets import Dataset
from setfit import SetFitModel, Trainer, TrainingArguments


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--iterations", type=int)
    options = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    train, test = (
        [json.loads(line) for line in file.read_text("utf-8").splitlines()] for file in (options.train, options.test)
    )
    labels = sorted({row["label"] for row in train})
    transformers.set_seed(options.seed)
    model = SetFitModel.from_pretrained(options.model, labels=labels, device="cpu")
    with tempfile.TemporaryDirectory() as out:
        more = {} if options.iterations is None else {"num_iterations": options.iterations}
        settings = TrainingArguments(
            output_dir=out, seed=options.seed, report_to="none", save_strategy="no", logging_strategy="no",
            show_progress_bar=False, **more,
        )  # fmt: skip
        rows = Dataset.from_list([{"text": row["text"], "label": labels.index(row["label"])} for row in train])
        trainer = Trainer(model=model, args=settings, train_dataset=rows)
        began = time.process_time()
        trainer.train()
        cpu = time.process_time() - began
    predicted = model.predict([row["text"] for row in test], batch_size=64, show_progress_bar=False)
    found = [str(word) for word in predicted]
    right = sum(word == row["label"] for word, row in zip(found, test, strict=True))
    print(json.dumps({"accuracy": round(100 * right / len(test), 3), "train_cpu_s": round(cpu, 2)}))


main()
