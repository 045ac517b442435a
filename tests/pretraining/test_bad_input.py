"""Pre-training that cannot work is found by `hft check`, or before the first step; it is said where, and what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SCRATCH = {"scratch": "tiny", "tokenizer": {"type": "bpe", "size": 300}, "config": {"hidden_size": 32}}
CODES = {"recipe": 2, "data": 3, "plugin": 4}


@pytest.fixture
def refused(tmp_path: Path, hft_here: Callable[..., Any]) -> Callable[..., None]:
    """Give ``refused(command, family, model, objective, *parts, texts=…)``: that end of `hft COMMAND`, nothing trained."""

    def check(
        command: str, family: str, model: dict[str, Any], objective: dict[str, Any], *parts: str, texts: Any = None
    ) -> None:
        lines = texts if texts is not None else ["the good film was not bad", "这家店的菜很好吃"] * 40
        (tmp_path / "corpus.txt").write_text("\n".join(lines), encoding="utf-8")
        stage = {"stage": "pretrain", "objectives": [{"data": "corpus"} | objective], "epochs": 1}
        recipe = {
            "name": "bad",
            "data": {"corpus": {"type": "text", "path": "corpus.txt"}},
            "model": model,
            "stages": [stage],
            "precision": "fp32",
        }
        file = tmp_path / "recipe.yaml"
        file.write_text(json.dumps(recipe, ensure_ascii=False), encoding="utf-8")
        outcome = hft_here(command, file)
        assert outcome.code == CODES[family], outcome
        assert "error: " in outcome.err
        assert "Traceback" not in outcome.err + outcome.out
        assert "step 1" not in outcome.out + outcome.err
        for part in parts:
            assert part in outcome.err, outcome.err
        assert not (tmp_path / "runs" / "bad").exists()

    return check


@pytest.fixture(scope="module")
def small_bert(made: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a BERT of 32 positions."""
    from transformers import BertConfig, BertForMaskedLM

    folder = tmp_path_factory.mktemp("bert")
    preprocessor = made("wordpiece", "bert", 300, 32)
    config = BertConfig(
        vocab_size=preprocessor.vocabulary, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=32,
    )  # fmt: skip
    BertForMaskedLM(config).save_pretrained(folder)
    preprocessor.save(folder)
    return folder


@pytest.mark.parametrize(
    ("kind", "objective", "head"),
    [
        ("bert", "causal-lm", "causal-lm"),
        ("bert", "span-corruption", "seq2seq-lm"),
        ("gpt", "masked-lm", "masked-lm"),
        ("gpt", "span-corruption", "seq2seq-lm"),
        ("t5", "causal-lm", "causal-lm"),
        ("t5", "masked-lm", "masked-lm"),
    ],
)
def test_an_objective_that_does_not_fit_the_model(kind: str, objective: str, head: str, refused: Any) -> None:
    parts = (
        "line ",
        "stages.0.objectives.0",
        f"{objective} trains the head {head!r}, which the model {kind!r} cannot have",
    )
    refused("check", "recipe", {"type": kind, "source": SCRATCH, "max_length": 32}, {"type": objective}, *parts)


def test_a_decoder_that_cannot_keep_documents_apart(made: Any, refused: Any, tmp_path: Path) -> None:
    from transformers import BloomConfig, BloomForCausalLM

    preprocessor = made("bpe", "gpt", 320, 32)
    folder = tmp_path / "bloom"
    BloomForCausalLM(
        BloomConfig(vocab_size=preprocessor.vocabulary, hidden_size=16, n_layer=1, n_head=2)
    ).save_pretrained(folder)
    preprocessor.save(folder)
    model = {"type": "gpt", "source": str(folder), "max_length": 32}
    refused("run", "plugin", model, {"type": "causal-lm"}, "causal-lm: a bloom", "set `boundaries: false`")


def test_a_tokenizer_that_is_larger_than_the_embedding(
    small_bert: Path, refused: Any, tmp_path: Path, made: Any
) -> None:
    import shutil

    folder = tmp_path / "m"
    shutil.copytree(small_bert, folder)
    made("bpe", "bert", 330).save(folder)
    model = {"type": "bert", "source": str(folder)}
    parts = ("the tokenizer of", "tokens but the weights only", "do not belong together")
    refused("run", "plugin", model, {"type": "masked-lm"}, *parts)


def test_sequences_beyond_the_positions(small_bert: Path, refused: Any) -> None:
    model = {"type": "bert", "source": str(small_bert), "max_length": 33}
    refused("run", "plugin", model, {"type": "masked-lm"}, "max_length 33 is beyond the 32 positions", "lower it")
    scratch = {"type": "gpt", "source": SCRATCH, "max_length": 600}
    parts = ("max_length 600 is beyond the 512 positions", "max_position_embeddings")
    refused("run", "plugin", scratch, {"type": "causal-lm"}, *parts)


@pytest.mark.parametrize(
    ("kind", "objective", "texts", "said"),
    [
        ("t5", "span-corruption", ["x"] * 30, "span-corruption: its data (corpus) has no usable row"),  # of one token
        ("gpt", "causal-lm", [], "corpus.txt: the file is empty"),
        ("gpt", "causal-lm", ["", " "], "corpus.txt: the file is empty"),
    ],
)
def test_a_corpus_without_a_usable_row(kind: str, objective: str, texts: Any, said: str, refused: Any) -> None:
    model = {"type": kind, "source": SCRATCH, "max_length": 32}
    refused("run", "data", model, {"type": objective}, said, texts=texts)


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ({"config": {"hiden_size": 32}}, ("gpt2 has no field 'hiden_size'", "the nearest: hidden_size")),
        ({"config": {"hidden_size": 33}}, ("multiple of num_attention_heads, found 33 and 2",)),
    ],
)
def test_a_configuration_that_does_not_exist(source: Any, parts: Any, refused: Any) -> None:
    refused("plan", "recipe", {"type": "gpt", "source": SCRATCH | source}, {"type": "causal-lm"}, "model: ", *parts)


@pytest.mark.parametrize(
    ("model", "objective", "parts"),
    [
        (
            {"type": "bert", "source": SCRATCH | {"architecture": "llama"}}, {"type": "masked-lm"},
            ("line ", "`architecture: llama` is none of the model `bert`"),
        ),
        (
            {"type": "bert", "source": SCRATCH, "extend_vocabulary": {"size": 9}}, {"type": "masked-lm"},
            ("line ", "raise its `size:` instead"),
        ),
        (
            {"type": "t5", "source": SCRATCH}, {"type": "span-corruption", "rate": 1.5},
            ("stages.0.objectives.0", "rate"),
        ),
        ({"type": "bert", "source": SCRATCH}, {"type": "masked-lm", "whole_words": "zh"}, ("whole_words", "'zh'")),
        (
            {"type": "bert", "source": SCRATCH | {"tokenizer": {"type": "sentencepiece"}}}, {"type": "masked-lm"},
            ("model.source", "'sentencepiece'"),
        ),
    ],
)  # fmt: skip
def test_what_check_finds(model: Any, objective: Any, parts: Any, refused: Any) -> None:
    refused("check", "recipe", model, objective, *parts)


def test_more_characters_than_tokens(refused: Any) -> None:
    source = {"scratch": "tiny", "tokenizer": {"type": "unigram", "size": 120}}
    texts = ["".join(map(chr, range(0x4E00 + row, 0x4E00 + row + 30))) for row in range(0, 300, 10)]
    parts = ("different characters, each of which needs a token; set `size:`",)
    refused("run", "data", {"type": "t5", "source": source}, {"type": "span-corruption"}, *parts, texts=texts)
