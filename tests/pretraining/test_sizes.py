"""Fresh models by named size, and by the fields of their configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from hft_core import HeadSpec, PluginError, RecipeError
from hft_plugins.transformers.models import Bert, Gpt

FIELDS = {"hidden_size": 96, "num_hidden_layers": 3, "num_attention_heads": 3}


@pytest.fixture(scope="module")
def file(made: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Give ``file(family)``: a tokenizer.json."""
    folder = tmp_path_factory.mktemp("tokenizers")

    def of(family: str) -> Path:
        path = folder / f"{family}.json"
        if not path.exists():
            made("bpe", family, 320).tokenizer.save(str(path))
        return path

    return of


def model_of(kind: str, file: Any, config: Any = None, **more: Any) -> Any:
    source = {"scratch": "tiny", "tokenizer": file("bert" if kind == "bert" else "gpt"), "config": config or {}}
    own = {key: more.pop(key) for key in list(more) if key == "architecture"}
    return {"bert": Bert, "gpt": Gpt}[kind].model_validate({"type": kind, "source": source | own} | more)


def built(model: Any) -> Any:
    head = "masked-lm" if model.family == "bert" else "causal-lm"
    return model.build(None, model.preprocessor(None, []), {head: HeadSpec(head)})


@pytest.mark.parametrize(("kind", "architecture"), [("bert", None), ("gpt", None), ("gpt", "gpt2"), ("gpt", "llama")])
def test_fields_take_the_place_of_the_named_sizes(kind: str, architecture: str | None, file: Any) -> None:
    own = {"architecture": architecture} if architecture else {}
    net = built(model_of(kind, file, FIELDS | {"max_position_embeddings": 77}, **own))
    config = net.backbone.config
    assert config.model_type == (architecture or {"bert": "bert", "gpt": "gpt2"}[kind])
    assert (config.hidden_size, config.num_hidden_layers, config.num_attention_heads) == (96, 3, 3)
    assert config.max_position_embeddings == 77
    assert len([part for part in net.parts() if part.kind == "layer" and part.name != "final"]) == 3
    assert net.embedding().weight.shape[1] == 96
    shapes = [parameter.shape for parameter in net.parameters() if parameter.ndim == 2]
    assert any(4 * 96 in shape or 256 in shape for shape in shapes)  # what follows from the width


def test_the_named_size_is_the_default(file: Any) -> None:
    assert built(model_of("bert", file)).backbone.config.hidden_size == 128


def test_other_fields_are_the_librarys_own(file: Any) -> None:
    config = built(model_of("gpt", file, {"resid_pdrop": 0.0, "n_embd": 64})).backbone.config
    assert (config.resid_pdrop, config.hidden_size) == (0.0, 64)


def test_longer_inputs_need_positions(file: Any) -> None:
    many = {"max_position_embeddings": 1024}
    assert model_of("bert", file, many, max_length=700).preprocessor(None, []).max_length == 700
    assert model_of("bert", file, many).preprocessor(None, []).max_length == 512
    assert model_of("bert", file, {"max_position_embeddings": 40}).preprocessor(None, []).max_length == 40
    with pytest.raises(PluginError, match="max_length 700 is beyond the 512 positions"):
        model_of("bert", file, max_length=700).preprocessor(None, [])


@pytest.mark.parametrize(
    ("kind", "config", "said"),
    [
        ("bert", {"hiden_size": 96}, "bert has no field 'hiden_size' .* the nearest: hidden_size"),
        ("gpt", {"n_layers": 3}, "gpt2 has no field 'n_layers' .* n_layer"),
        ("bert", {"vocab_size": 96}, "bert has no field 'vocab_size' that"),
        ("bert", {"pad_token_id": 0}, "bert has no field 'pad_token_id' that"),
        ("bert", {"zzz": 0}, "the nearest: hidden_size"),
        ("bert", {"hidden_size": 97}, "hidden_size has to be a multiple of num_attention_heads, found 97 and 2"),
        ("bert", {"hidden_size": "wide"}, "found wide and 2"),
        ("bert", {"hidden_act": 3.5}, "does not make a bert"),
    ],
)
def test_what_is_wrong_with_it_is_said_before_anything_is_read(kind: str, config: Any, said: str, file: Any) -> None:
    with pytest.raises(RecipeError, match=said):
        model_of(kind, file, config).locate()


def test_an_architecture_of_another_model_is_refused(file: Any) -> None:
    with pytest.raises(ValidationError, match=r"`architecture: llama` is none of the model `bert`, .* as bert"):
        model_of("bert", file, architecture="llama")


def test_fields_count_in_the_key(file: Any) -> None:
    keys = [model_of("bert", file, config).identity() for config in ({}, FIELDS, FIELDS)]
    assert keys[0] != keys[1] == keys[2]
