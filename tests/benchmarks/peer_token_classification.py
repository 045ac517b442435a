"""Peer baseline: AutoModelForTokenClassification with transformers' Trainer, as its example run_ner does it.

usage: peer_token_classification.py MODEL TRAIN TEST [--seed 0] [--epochs 10] [--lr 5e-5] [--batch 32] [--length 256]
       [--bf16] [--group]

TRAIN and TEST have one token and its tag a line, blank lines between sentences. A word's tag stands at its first token;
the weights are those after the last step. Prints one JSON line: `f1` is seqeval's entity F1 over all words of TEST (what
does not fit into --length is predicted as O), `train_cpu_s` user and system of `Trainer.train()` alone.
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

Sentences = list[tuple[list[str], list[str]]]


def main() -> None:
    from seqeval.metrics import f1_score

    options = _options()
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    transformers.set_seed(options.seed)
    train, test = _read(options.train), _read(options.test)
    labels = sorted({tag for _, tags in train for tag in tags})
    tokenizer = transformers.AutoTokenizer.from_pretrained(options.model)
    model = transformers.AutoModelForTokenClassification.from_pretrained(options.model, num_labels=len(labels))
    trainer = transformers.Trainer(
        model,
        _arguments(options),
        train_dataset=_encoded(tokenizer, train, labels, options.length),
        data_collator=transformers.DataCollatorForTokenClassification(tokenizer),
    )
    began = time.process_time()
    trainer.train()
    cpu = time.process_time() - began
    found = [_tagged(model, tokenizer, words, labels, options.length) for words, _ in test]
    f1 = f1_score([tags for _, tags in test], found)
    print(json.dumps({"seed": options.seed, "f1": round(100 * float(f1), 2), "train_cpu_s": round(cpu, 1)}))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=float, default=10)
    parser.add_argument("--lr", type=float, default=5e-5)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--group", action="store_true", help="group_by_length")
    return parser.parse_args()


def _read(file: Path) -> Sentences:
    sentences: Sentences = []
    words: list[str] = []
    tags: list[str] = []
    for line in [*file.read_text("utf-8").split("\n"), ""]:
        if line.strip():
            word, tag = line.split()
            words.append(word)
            tags.append(tag)
        elif words:
            sentences.append((words, tags))
            words, tags = [], []
    return sentences


def _encoded(tokenizer: Any, sentences: Sentences, labels: list[str], length: int) -> list[dict[str, list[int]]]:
    """Model inputs, and `labels`: the tag at each word's first token, -100 elsewhere."""
    columns = tokenizer([words for words, _ in sentences], is_split_into_words=True, truncation=True, max_length=length)
    rows = []
    for index, (_, tags) in enumerate(sentences):
        targets, before = [], None
        for word in columns.word_ids(index):
            targets.append(-100 if word is None or word == before else labels.index(tags[word]))
            before = word
        rows.append({name: columns[name][index] for name in ("input_ids", "attention_mask")} | {"labels": targets})
    return rows


def _tagged(model: Any, tokenizer: Any, words: list[str], labels: list[str], length: int) -> list[str]:
    """The tag of each word of a sentence, by its first token; O for what was cut off."""
    columns = tokenizer(words, is_split_into_words=True, truncation=True, max_length=length, return_tensors="pt")
    with torch.inference_mode():
        best = model.eval()(**columns.to(model.device)).logits[0].argmax(-1).tolist()
    tags = ["O"] * len(words)
    for place, word in reversed(list(enumerate(columns.word_ids(0)))):
        if word is not None:
            tags[word] = labels[best[place]]  # the first token comes last
    return tags


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
