"""Recipes that together have every key of the core and of the built-in components; none of them is ever run."""

from __future__ import annotations

from typing import Any

FILES = (
    "train.csv",
    "dev.csv",
    "corpus.txt",
    "more.jsonl",
    "table.tsv",
    "tokens.conll",
    "names.txt",
    "qa.json",
    "rows.parquet",
    "mine.py",
)

LM_SOURCES = ["corpus", "more", "packed", "pairs", "questions", "columnar", "fetched", "saved", "database", "asked"]

FULL: dict[str, Any] = {
    "name": "full",
    "seed": 3,
    "data": {
        "train": {
            "type": "csv",
            "path": "train.csv",
            "delimiter": ",",
            "quote": '"',
            "header": True,
            "name": "labelled",
        },
        "test": {"type": "csv", "path": "dev.csv", "header": False, "columns": ["review", "sentiment"]},
        "split": {"validation": 0.2},
        "corpus": {"type": "text", "path": "corpus.txt"},
        "more": {"type": "jsonl", "path": "more.jsonl"},
        "packed": {
            "type": "text",
            "path": "corpus.txt",
            "member": "a.txt",
            "encoding": "latin-1",
            "pattern": "(?P<kind>[0-9]) (?P<text>.+)",
            "labels": {"column": "kind", "names": "names.txt", "first": 1},
            "bad_rows": 0.1,
        },
        "pairs": {"type": "parallel", "paths": ["corpus.txt", "more.jsonl"], "columns": ["en", "de"], "encoding": "big5"},
        "questions": {"type": "squad", "path": "qa.json"},
        "columnar": {"type": "parquet", "path": "rows.parquet"},
        "fetched": {"type": "dataset", "hub": "some/data", "subset": "a", "split": "train", "revision": "main"},
        "saved": {"type": "dataset", "path": "."},
        "database": {"type": "sql", "url": "sqlite:///a.db", "table": "reviews"},
        "asked": {"type": "sql", "url": "sqlite:///a.db", "query": "select text from reviews"},
    },
    "task": {"type": "text-classification", "text": "review", "label": "sentiment"},
    "model": {
        "type": "bert",
        "source": {
            "scratch": "tiny", "tokenizer": {"type": "wordpiece", "size": 300}, "architecture": "bert",
            "config": {"hidden_size": 64},
        },
        "revision": "main",
        "max_length": 64,
    },
    "prepare": {
        "leakage": "report",
        "workers": 2,
        "clean": [
            {"type": "unicode", "form": "NFKC"},
            {"type": "html"},
            {"type": "whitespace"},
            {"type": "exact-duplicates", "normalise": True, "conflicts": "drop"},
            {"type": "length", "minimum": 1, "maximum": 500},
            {"type": "mojibake"},
            {"type": "links", "urls": "[URL]", "emails": None},
            {"type": "personal-data", "kinds": ["email", "phone"], "mask": "[{kind}]"},
            {"type": "width", "letters": "half", "punctuation": "full", "katakana": "full"},
            {"type": "chinese-script", "conversion": "t2s"},
            {"type": "header-rows"},
            {"type": "near-duplicates", "threshold": 0.85, "ngram": 5, "same_target": True},
            {"type": "language", "keep": ["en"], "confidence": 0.8, "minimum": 10},
            {"type": "repetition", "maximum": 0.6, "ngram": 8, "minimum": 40},
            {"type": "symbols", "maximum": 0.5, "minimum": 10},
            {"type": "label-noise", "maximum": 0.05},
        ],
        "augment": [
            {
                "type": "synonyms", "rate": 0.1, "copies": 2, "fresh": False, "check": "tfidf", "table": "table.tsv",
                "protect": ["not"], "keep_labels": True,
            },
            {"type": "random-swap", "rate": 0.1},
            {"type": "random-insert", "rate": 0.1, "table": "table.tsv"},
            {"type": "punctuation", "rate": 0.3, "marks": ".,"},
            {"type": "character-noise", "rate": 0.1, "table": "ocr", "keep_labels": True},
            {"type": "sentence-order"},
            {"type": "sentence-mix"},
            {"type": "entity-swap", "rate": 0.5},
            {
                "type": "back-translation", "forward": ".", "back": ".", "beams": 2, "batch_size": 8, "max_tokens": 20,
            },
            {"type": "random-delete", "rate": 0.1},
        ],
    },
    "stages": [
        {
            "stage": "pretrain",
            "name": "adapt",
            "objectives": [
                {
                    "type": "masked-lm", "data": LM_SOURCES, "rate": 0.15, "mask": 0.8, "random": 0.1,
                    "whole_words": True,
                },
            ],
            "epochs": 0.5,
            "batch_size": 8,
            "micro_batch": 4,
            "optimizer": {
                "type": "adamw", "lr": 1e-4, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8, "weight_decay": 0.1,
            },
            "schedule": {"type": "cosine", "warmup": 0.1, "floor": 0.1},
            "clip": 1.0,
            "early_stopping": 3,
            "plateau": {"patience": 2, "factor": 0.5},
            "checkpoint_minutes": 5,
        },
        {
            "stage": "finetune",
            "objectives": [
                {"type": "classification", "data": "train", "label_smoothing": 0.1, "task": "main"},
                {
                    "type": "masked-lm", "name": "side", "data": "corpus", "weight": {"from": 0.3, "to": 0.0},
                    "batch_size": 4,
                },
            ],
            "optimizer": {"type": "sgd", "lr": 0.1, "momentum": 0.9, "nesterov": True},
            "schedule": {"type": "constant"},
            "techniques": [{"type": "ema", "decay": 0.9}, {"type": "r-drop", "alpha": 1.0, "on": ["classification"]}],
        },
    ],
    "evaluate": {
        "metrics": [
            {"type": "accuracy"},
            {"type": "f1", "average": "binary", "positive": "pos"},
            {"type": "perplexity"},
        ],
        "best": "f1",
        "seeds": 2,
        "plain": True,
        "slices": ["source"],
    },
    "report": {"texts": False, "license": "cc-by-4.0"},
    "export": [{"type": "onnx", "precisions": ["fp32", "int8"], "allow_drift": False, "opset": 20}],
    "trackers": [
        {"type": "tensorboard", "folder": "boards"},
        {"type": "mlflow", "uri": "http://localhost:5000", "experiment": "reviews"},
        {"type": "wandb", "project": "reviews", "entity": "us", "offline": True},
        {"type": "trackio", "project": "reviews", "space": "us/reviews"},
    ],
    "search": {
        "space": {
            "stages.1.optimizer.lr": {"low": 1e-4, "high": 1e-2, "log": True},
            "stages.1.batch_size": {"low": 8, "high": 32, "step": 8},
            "stages.1.schedule.type": {"choices": ["constant", "linear"]},
        },
        "trials": 40,
        "minutes": 90,
        "metric": "f1",
        "prune": "median",
        "workers": 2,
        "study": "broad",
    },
    "precision": "fp32",
    "strategy": "fsdp",
    "plugins": ["mine.py"],
    "requires": ["numpy>=1"],
    "disable": ["some-plugin"],
}  # fmt: skip

SCRATCH = {"scratch": "tiny", "tokenizer": {"type": "bpe", "size": 300}}

SEVERAL: dict[str, Any] = {
    "name": "several",
    "data": {
        "names": {
            "train": {"type": "conll", "path": "tokens.conll", "token": 1, "tag": -1, "joiner": " "},
            "split": {"validation": 0.2, "test": 0.1},
        },
        "topic": {
            "train": {"type": "csv", "path": "train.csv"},
            "validation": {"type": "csv", "path": "dev.csv"},
            "test": {"type": "csv", "path": "dev.csv"},
        },
        "stories": {"train": {"type": "text", "path": "corpus.txt"}},
    },
    "tasks": {
        "names": {"type": "token-classification", "text": "text", "entities": "entities", "overlap": 8,
                  "tokens": "words", "tags": "tags", "tag_names": ["O", "B-x"], "joiner": " "},
        "topic": {"type": "text-classification", "text": "review", "label": "sentiment"},
        "stories": {"type": "text-generation", "text": "text", "new_tokens": 8, "write": True,
                    "decoding": {"beams": 2, "length_penalty": 1.0, "early_stopping": True}},
    },
    "model": {"type": "gpt", "source": SCRATCH},
    "stages": [
        {
            "stage": "finetune",
            "objectives": [
                {"type": "task", "task": "names", "data": "train"},
                {
                    "type": "classification", "task": "topic", "data": "train", "focal": 2.0,
                    "class_weights": "balanced",
                },
                {"type": "causal-lm", "task": "stories", "data": "train", "block": 32, "boundaries": True},
                {
                    "type": "supervised-contrastive", "task": "topic", "data": "train", "temperature": 0.3,
                    "pooling": "mean",
                },
            ],
            "workers": 2,
            "optimizer": {"type": "muon", "lr": 1e-3, "matrices": "attn", "iterations": 5},
            "techniques": [
                {"type": "lora", "rank": 4, "alpha": 8, "dropout": 0.1, "targets": ["attn"], "alone": False},
                {"type": "freeze", "parts": ["embeddings"], "patterns": ["ln"], "below": 0.1},
                {"type": "gradual-unfreezing", "every": 0.1},
                {"type": "rates", "factors": {"head": 10}},
                {"type": "r-drop", "alpha": 1.0},
                {"type": "fgm", "epsilon": 0.5},
                {
                    "type": "distillation", "temperature": 2.0, "weight": 0.5,
                    "teacher": {
                        "type": "gpt", "source": "some/teacher", "extend_vocabulary": {"size": 5, "minimum": 2},
                    },
                },
            ],
        },
        {
            "stage": "finetune",
            "objectives": [{"type": "task", "task": "topic", "data": "train"}],
            "optimizer": {"type": "lion", "lr": 1e-4},
            "techniques": [
                {"type": "reinit", "layers": 1},
                {"type": "mixup", "alpha": 0.2},
                {"type": "swa", "start": 0.5},
            ],
        },
    ],
    "evaluate": {"best": "topic.accuracy"},
}  # fmt: skip

READING: dict[str, Any] = {
    "name": "reading",
    "data": {"corpus": {"type": "text", "path": "corpus.txt"}},
    "model": {"type": "t5", "source": {"scratch": "tiny", "tokenizer": {"type": "unigram", "size": 300}}},
    "stages": [
        {
            "stage": "pretrain",
            "objectives": [{"type": "span-corruption", "data": "corpus", "rate": 0.15, "span": 3.0}],
        },
    ],
}  # fmt: skip

WRITING: dict[str, Any] = {
    "name": "writing",
    "data": {"train": {"type": "csv", "path": "train.csv"}, "split": {"validation": 0.2}},
    "task": {
        "type": "text-to-text", "text": "review", "target": "sentiment", "new_tokens": 8,
        "decoding": {"sample": True, "temperature": 0.8, "top_k": 20, "top_p": 0.9, "seed": 1},
    },
    "model": {"type": "t5", "source": {"scratch": "tiny", "tokenizer": {"type": "unigram", "size": 300}}},
    "stages": [
        {
            "stage": "finetune",
            "objectives": [
                {"type": "seq2seq", "task": "main", "data": "train", "label_smoothing": 0.1, "too_long": "skip"},
            ],
        },
    ],
    "evaluate": {
        "metrics": [
            {"type": "chrf"}, {"type": "exact-match"}, {"type": "bleu", "tokenize": "zh", "lowercase": True},
            {"type": "rouge"},
        ],
        "best": "chrf",
    },
}  # fmt: skip

ANSWERING: dict[str, Any] = {
    "name": "answering",
    "data": {"train": {"type": "jsonl", "path": "more.jsonl"}, "split": {"validation": 0.2}},
    "task": {"type": "chat", "messages": "messages", "system": "Be short.", "template": "{{ messages }}"},
    "model": {"type": "gpt", "source": SCRATCH},
    "stages": [
        {
            "stage": "finetune",
            "objectives": [
                {"type": "causal-lm", "task": "main", "data": "train", "prompts": True, "too_long": "skip"},
            ],
        },
    ],
}

CONTINUING: dict[str, Any] = ANSWERING | {
    "name": "continuing",
    "task": {"type": "text-generation", "text": "question", "answer": "answer", "prompt": "{text}: "},
}

ASKING: dict[str, Any] = {
    "name": "asking",
    "data": {
        "train": {"type": "squad", "path": "qa.json", "repair_offsets": True},
        "split": {"validation": 0.2},
    },
    "task": {
        "type": "question-answering", "context": "context", "question": "question", "answers": "answers",
        "answer": "answer", "answer_start": "answer_start", "repair_offsets": False, "overlap": 64, "question_length": 32,
        "max_answer_length": 20, "no_answer": True, "n_best": 3,
    },
    "model": {"type": "bert", "source": "some/encoder"},  # a fresh one has nothing to say to augmenters
    "prepare": {
        "augment": [
            {
                "type": "neighbours", "rate": 0.1, "neighbours": 3, "similarity": 0.5, "most_words": 100,
                "protect": ["not"], "keep_labels": False,
            },
            {"type": "masked-words", "rate": 0.1, "candidates": 5, "batch_size": 8, "protect": ["not"]},
        ],
    },
    "stages": [{"stage": "finetune", "objectives": [{"type": "answer-span", "task": "main", "data": "train"}]}],
    "evaluate": {
        "metrics": [{"type": "answer-f1", "rules": "cmrc"}, {"type": "answer-exact-match"}], "best": "answer-f1",
    },
}  # fmt: skip

FINDING: dict[str, Any] = {
    "name": "finding",
    "data": {
        "pairs": {"train": {"type": "csv", "path": "train.csv"}},
        "scored": {"train": {"type": "csv", "path": "train.csv"}},
    },
    "tasks": {
        "pairs": {
            "type": "sentence-embedding", "text": "text", "positive": "positive", "negative": "negative", "label": "label",
            "pooling": "cls", "normalise": False,
        },
        "scored": {"type": "sentence-similarity", "text": "text", "other": "other", "score": "score", "range": [0, 5]},
    },
    "model": {"type": "bert", "source": SCRATCH},
    "stages": [
        {
            "stage": "finetune",
            "objectives": [
                {"type": "in-batch-negatives", "task": "pairs", "data": "train", "temperature": 0.05, "symmetric": True},
                {"type": "cosent", "task": "scored", "data": "train", "temperature": 0.05},
            ],
        },
        {"stage": "finetune", "objectives": [{"type": "cosine-mse", "task": "scored", "data": "train"}]},
    ],
    "evaluate": {
        "metrics": [{"type": "mrr"}, {"type": "recall-at", "k": 5}, {"type": "spearman"}], "best": "pairs.recall@5",
    },
    "export": [{"type": "onnx", "tasks": "together"}],
}  # fmt: skip

LABELLING: dict[str, Any] = {
    "name": "labelling",
    "data": {
        name: {"train": {"type": "csv", "path": "train.csv"}}
        for name in ("topics", "price", "entailed")
    },
    "tasks": {
        "topics": {
            "type": "multi-label-classification", "text": "text", "labels": "labels", "separator": "|",
            "thresholds": "shared",
        },
        "price": {"type": "regression", "text": "text", "target": "price"},
        "entailed": {
            "type": "text-classification", "text": "text", "pair": "other", "label": "label", "threshold": "f1",
            "positive": "yes",
        },
    },
    "model": {"type": "bert", "source": SCRATCH},
    "stages": [
        {
            "stage": "finetune",
            "objectives": [
                {"type": "multi-label", "task": "topics", "data": "train", "positive_weights": "balanced"},
                {"type": "regression", "task": "price", "data": "train", "huber": 1.0},
                {"type": "task", "task": "entailed", "data": "train"},
            ],
        },
    ],
    "evaluate": {
        "metrics": [{"type": "mse"}, {"type": "multi-label-f1", "average": "samples"}, {"type": "f1"}], "best": "price.mse",
    },
}  # fmt: skip

RECIPES = {
    "labelling": LABELLING,
    "finding": FINDING,
    "asking": ASKING,
    "writing": WRITING,
    "answering": ANSWERING,
    "continuing": CONTINUING,
    "full": FULL,
    "several": SEVERAL,
    "reading": READING,
}
