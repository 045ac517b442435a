"""Language modelling on a GPU against transformers' Trainer: BERT-base and GPT-2 sizes, bfloat16, sdpa on both sides.

    python -m tests.benchmarks.gpu [--models bert gpt] [--lengths 128 512] [--steps 300] [--repeats 1]
    python -m tests.benchmarks.gpu --device cpu --tiny      # does it run at all

Fresh weights, one word a token, texts of ragged length: between an eighth of the longest input and all of it, evenly
spread. The Trainer runs with bf16 and group_by_length. Throughput is text tokens (no padding) per second of wall time,
from the end of the first step to the end of the last one; see meter.py. Where there is no GPU it says so and ends.

Model FLOPs utilisation = tokens/s × F / peak, where F, the arithmetic that a token needs for a step (forward, and twice
that backward; PaLM, Chowdhery et al. 2022, appendix B), is the same for both sides, whatever they do beside:

    F = 6 · 12 L d²  +  12 L d T  +  6 r (k d² + d V)

L layers, width d, vocabulary V; T = Σn² / Σn tokens that a token attends to in texts of n tokens; r the share of tokens
that are predicted (0.15 masked, 1 causal); k = 1 for the dense layer of a masked head, else 0. Peak is the GPU's dense
bfloat16 figure of its data sheet: --peak in TFLOP/s for one that is not known here.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks import arms

_PEAK = {"H100": 989.0, "H200": 989.0, "A100": 312.0}
_SPECIAL = {"bert": ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], "gpt": ["<|endoftext|>"]}


@dataclass(frozen=True)
class Size:
    """A model's numbers."""

    layers: int
    width: int
    heads: int
    vocabulary: int


_SIZES = {"bert": Size(12, 768, 12, 30522), "gpt": Size(12, 768, 12, 50257)}
_TINY = Size(2, 64, 2, 3000)


def main() -> None:
    """Run both sides, and print the table."""
    options = _options()
    if options.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    device = arms.apart(_gpu)
    if device is None and options.device == "cuda":
        print("not run: no GPU here")
        return
    peak = options.peak or next((peak for name, peak in _PEAK.items() if name in (device or "")), None)
    rows = []
    for kind in options.models:
        size = _TINY if options.tiny else _SIZES[kind]
        for length in options.lengths:
            rows += _compare(kind, size, length, peak, options)
    print(f"\n{device or 'CPU'}: {options.steps} steps of {options.batch} texts, the median of {options.repeats}")
    header = ["model", "longest input", "arm", "tokens/s (median)", "ratio", "MFU", "padding", "peak GPU MB"]
    arms.table(header, rows)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=list(_SIZES), default=list(_SIZES))
    parser.add_argument("--lengths", type=int, nargs="+", default=[128, 512])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--peak", type=float, help="TFLOP/s of the device")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--tiny", action="store_true", help="two layers, a few short steps")
    options = parser.parse_args()
    if options.tiny:
        options.lengths, options.batch, options.steps = [32], 8, 4
    return options


def _compare(kind: str, size: Size, length: int, peak: float | None, options: argparse.Namespace) -> list[list[str]]:
    """Run both sides in turn; gives their rows of the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = folder / "model"
        arms.apart(_make_model, kind, size, model)
        counts = _write_texts(kind, size, length, options.batch * options.steps, folder / "texts.txt")
        runs: dict[str, list[arms.Result]] = {"hft": [], "Trainer `--bf16 --group`": []}
        for number in range(options.repeats):
            recipe = _recipe(kind, length, folder, options.batch)
            meter = ("--meter", size.vocabulary)
            runs["hft"].append(arms.measure_hft(recipe, number, folder / f"hft-{number}", *meter))
            settings = ["--batch", options.batch, "--length", length, "--seed", number, "--bf16", "--group", *meter]
            causal = ["--causal"] if kind == "gpt" else []
            files = [model, folder / "texts.txt", folder / f"peer-{number}"]
            script = arms.HERE / "peer_masked_lm.py"
            runs["Trainer `--bf16 --group`"].append(arms.measure("Trainer", script, *files, *settings, *causal))
    needed = flops(kind, size, counts)
    speeds = {arm: statistics.median(run["tokens"] / run["seconds"] for run in found) for arm, found in runs.items()}
    return [
        [
            kind,
            str(length),
            arm,
            f"{speed:,.0f}",
            f"{speed / speeds['Trainer `--bf16 --group`']:.2f}",
            f"{speed * needed / (peak * 1e12):.1%}" if peak else "–",
            f"{statistics.median(run['padding'] for run in runs[arm]):.1%}",
            str(runs[arm][0]["gpu_mb"] or "–"),
        ]
        for arm, speed in speeds.items()
    ]


def flops(kind: str, size: Size, counts: list[int]) -> float:
    """The arithmetic that a token of texts with these `counts` of tokens needs; see the formula above."""
    attended = sum(count * count for count in counts) / sum(counts)
    predicted, dense = (0.15, 1) if kind == "bert" else (1.0, 0)
    d = size.width
    layers = 6 * 12 * size.layers * d * d + 12 * size.layers * d * attended
    return layers + 6 * predicted * (dense * d * d + d * size.vocabulary)


def _write_texts(kind: str, size: Size, length: int, rows: int, file: Path) -> list[int]:
    """Write random texts of ragged length; gives the tokens of each."""
    draw = random.Random(0)
    special = len(_SPECIAL[kind])
    around = 2 if kind == "bert" else 0  # [CLS] and [SEP]
    counts = [draw.randint(length // 8, length) for _ in range(rows)]
    with file.open("w", encoding="utf-8") as stream:
        for count in counts:
            words = (f"w{draw.randrange(special, size.vocabulary)}" for _ in range(count - around))
            stream.write(" ".join(words) + "\n")
    return counts


def _recipe(kind: str, length: int, folder: Path, batch: int) -> dict[str, Any]:
    return {
        "name": "gpu",
        "data": {"corpus": {"type": "text", "path": f"{folder}/texts.txt"}},
        "model": {"type": kind, "source": f"{folder}/model", "max_length": length},
        "stages": [
            {
                "stage": "pretrain",
                "objectives": [{"type": "masked-lm" if kind == "bert" else "causal-lm", "data": "corpus"}],
                "epochs": 1,
                "batch_size": batch,
                "optimizer": {"type": "adamw", "lr": 1e-4, "weight_decay": 0.0},
                "schedule": {"type": "linear"},
            }
        ],
        "precision": "bf16",
    }


def _gpu() -> str | None:
    """The GPU's name, or None."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def _make_model(kind: str, size: Size, folder: Path) -> None:
    """Save a fresh model of this size, and a tokenizer whose tokens are the words `w5`, `w6`, …; token 0 is padding."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertForMaskedLM, GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    arms.keep_quiet()
    special = _SPECIAL[kind]
    words = special + [f"w{number}" for number in range(len(special), size.vocabulary)]
    tokenizer = Tokenizer(
        models.WordLevel(
            {word: number for number, word in enumerate(words)}, unk_token=special[min(1, len(special) - 1)]
        )
    )
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    model: Any
    if kind == "bert":
        tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", 2), ("[SEP]", 3)])
        names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), special, strict=True))
        config = BertConfig(
            vocab_size=size.vocabulary,
            hidden_size=size.width,
            num_hidden_layers=size.layers,
            num_attention_heads=size.heads,
            intermediate_size=4 * size.width,
        )
        model = BertForMaskedLM(config)
    else:
        names = dict.fromkeys(("pad_token", "unk_token", "bos_token", "eos_token"), special[0])
        model = GPT2LMHeadModel(
            GPT2Config(
                vocab_size=size.vocabulary,
                n_embd=size.width,
                n_layer=size.layers,
                n_head=size.heads,
                bos_token_id=0,
                eos_token_id=0,
                pad_token_id=0,
            )
        )
    model.save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)


if __name__ == "__main__":
    main()
