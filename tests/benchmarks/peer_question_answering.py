"""Peer baseline: AutoModelForQuestionAnswering with transformers' Trainer, as its example run_qa does it.

usage: peer_question_answering.py MODEL TRAIN TEST [--seed 0] [--epochs 10] [--lr 5e-5] [--batch 16] [--length 384]
       [--overlap 128] [--bf16] [--group]

TRAIN and TEST are in the form of SQuAD. Long contexts are read in windows; a window without the whole answer has the first
token as its answer. The answer is the stretch of at most 30 tokens with the largest sum of two logits, of all windows of a
question and of the 20 best starts and ends of each; if TRAIN has questions without an answer, the first token's logits
stand for none. The weights are those after the last step. Prints one JSON line: `f1` and `exact` by SQuAD's rules (CMRC's
for Chinese), `train_cpu_s` user and system of `Trainer.train()` alone.
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

import torch
import transformers

_BEST, _LONGEST = 20, 30


def main() -> None:
    from hft_plugins.question_answering.scoring import rules_of, score

    options = _options()
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    transformers.set_seed(options.seed)
    train, test = _read(options.train), _read(options.test)
    tokenizer = transformers.AutoTokenizer.from_pretrained(options.model)
    model = transformers.AutoModelForQuestionAnswering.from_pretrained(options.model)
    trainer = transformers.Trainer(
        model,
        _arguments(options),
        train_dataset=_training_windows(tokenizer, train, options),
        data_collator=transformers.DataCollatorWithPadding(tokenizer),
    )
    began = time.process_time()
    trainer.train()
    cpu = time.process_time() - began
    empty = any(not row["answers"] for row in train)
    rules = rules_of([row["answers"][0]["text"] for row in train if row["answers"]])
    scores = [
        score(_answer(model, tokenizer, row, options, empty), [one["text"] for one in row["answers"]], rules)
        for row in test
    ]
    figures = {
        "f1": 100 * sum(one.f1 for one in scores) / len(scores),
        "exact": 100 * sum(one.exact for one in scores) / len(scores),
    }
    print(json.dumps({"seed": options.seed, "train_cpu_s": round(cpu, 1)} | figures))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=float, default=10)
    parser.add_argument("--lr", type=float, default=5e-5)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--length", type=int, default=384)
    parser.add_argument("--overlap", type=int, default=128)
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--group", action="store_true", help="group_by_length")
    return parser.parse_args()


def _read(file: Path) -> list[dict[str, Any]]:
    return [
        {"context": part["context"], "question": asked["question"], "answers": asked["answers"]}
        for article in json.loads(file.read_text("utf-8"))["data"]
        for part in article["paragraphs"]
        for asked in part["qas"]
    ]


def _windows(tokenizer: Any, rows: list[dict[str, Any]], options: argparse.Namespace, **more: Any) -> Any:
    return tokenizer(
        [row["question"].strip() for row in rows],
        [row["context"] for row in rows],
        truncation="only_second",
        max_length=options.length,
        stride=options.overlap,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        **more,
    )


def _training_windows(tokenizer: Any, rows: list[dict[str, Any]], options: argparse.Namespace) -> list[dict[str, Any]]:
    found = _windows(tokenizer, rows, options)
    windows = []
    for entry, row in enumerate(found["overflow_to_sample_mapping"]):
        inputs = {name: found[name][entry] for name in tokenizer.model_input_names if name in found}
        start, end = _tokens(found["offset_mapping"][entry], found.sequence_ids(entry), rows[row]["answers"])
        windows.append(inputs | {"start_positions": start, "end_positions": end})
    return windows


def _tokens(offsets: list[tuple[int, int]], halves: list[int | None], answers: list[Any]) -> tuple[int, int]:
    """The answer's first and last token, or twice the first token of the window."""
    if not answers:
        return 0, 0
    begin = answers[0]["answer_start"]
    end = begin + len(answers[0]["text"])
    context = [token for token, half in enumerate(halves) if half == 1]
    inside = [token for token in context if offsets[token][1] > begin and offsets[token][0] < end]
    whole = inside and offsets[context[0]][0] <= begin and offsets[context[-1]][1] >= end
    return (inside[0], inside[-1]) if whole else (0, 0)


def _answer(model: Any, tokenizer: Any, row: dict[str, Any], options: argparse.Namespace, empty: bool) -> str:
    """The best answer to a question, "" for none."""
    found = _windows(tokenizer, [row], options, padding=True, return_tensors="pt")
    inputs = {name: found[name] for name in tokenizer.model_input_names if name in found}
    with torch.inference_mode():
        output = model.eval()(**inputs)
    best, none = (float("-inf"), ""), float("inf")
    for entry in range(len(found["input_ids"])):
        starts, ends = output.start_logits[entry], output.end_logits[entry]
        none = min(none, float(starts[0] + ends[0]))
        context = {token for token, half in enumerate(found.sequence_ids(entry)) if half == 1}
        offsets = found["offset_mapping"][entry].tolist()
        for start in starts.argsort(descending=True)[:_BEST].tolist():
            for end in ends.argsort(descending=True)[:_BEST].tolist():
                if start in context and end in context and start <= end < start + _LONGEST:
                    text = row["context"][offsets[start][0] : offsets[end][1]]
                    best = max(best, (float(starts[start] + ends[end]), text))
    return "" if empty and none > best[0] else best[1]


def _arguments(options: argparse.Namespace) -> transformers.TrainingArguments:
    grouped = {"train_sampling_strategy": "group_by_length"} if options.group else {}
    return transformers.TrainingArguments(
        tempfile.mkdtemp(),
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
