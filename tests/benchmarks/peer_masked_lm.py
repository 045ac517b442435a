"""Peer baseline: language modelling with transformers' Trainer and DataCollatorForLanguageModeling, as its examples do it.

usage: peer_masked_lm.py MODEL TEXTS OUT [--causal] [--seed 0] [--epochs 1] [--lr 1e-4] [--batch 32] [--length 128]
       [--bf16] [--group] [--meter VOCABULARY]

TEXTS has one text a line; the trained model is saved to OUT. Prints one JSON line: `train_cpu_s` is user and system of
`Trainer.train()` alone; with --meter also what meter.py counts. --causal predicts next tokens instead of hidden ones.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
import transformers
from meter import Meter  # beside this script


class _Marking(transformers.TrainerCallback):
    """Tells the meter about each step."""

    def __init__(self, meter: Meter):
        self._meter = meter

    def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        self._meter.mark(state.global_step, state.max_steps)


def main() -> None:
    options = _options()
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    transformers.set_seed(options.seed)
    auto = transformers.AutoModelForCausalLM if options.causal else transformers.AutoModelForMaskedLM
    model = auto.from_pretrained(options.model)
    tokenizer = transformers.AutoTokenizer.from_pretrained(options.model)
    trainer = transformers.Trainer(
        model,
        _arguments(options),
        train_dataset=_encoded(tokenizer, options),
        data_collator=transformers.DataCollatorForLanguageModeling(tokenizer, mlm=not options.causal),  # hides 15 %
    )
    meter = Meter(options.meter) if options.meter else None
    if meter:
        trainer.add_callback(_Marking(meter))
    began = time.process_time()
    trainer.train()
    cpu = time.process_time() - began
    model.save_pretrained(options.out)
    line = {"seed": options.seed, "train_cpu_s": round(cpu, 2), "steps": trainer.state.global_step}
    print(json.dumps(line | (meter.figures() if meter else {})))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("texts", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--causal", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=float, default=1)
    parser.add_argument("--lr", type=float, default=1e-4)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--group", action="store_true", help="group_by_length")
    parser.add_argument("--meter", type=int)
    return parser.parse_args()


def _encoded(tokenizer: Any, options: argparse.Namespace) -> list[dict[str, list[int]]]:
    texts = [text for text in options.texts.read_text("utf-8").split("\n") if text]
    wanted = {"truncation": True, "max_length": options.length, "return_special_tokens_mask": not options.causal}
    columns = tokenizer(texts, **wanted)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _arguments(options: argparse.Namespace) -> transformers.TrainingArguments:
    grouped = {"train_sampling_strategy": "group_by_length"} if options.group else {}
    return transformers.TrainingArguments(
        str(options.out),
        num_train_epochs=options.epochs,
        learning_rate=options.lr,
        per_device_train_batch_size=options.batch,
        bf16=options.bf16,
        seed=options.seed,
        use_cpu=not torch.cuda.is_available(),
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        **grouped,
    )


main()
