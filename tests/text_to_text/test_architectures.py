"""Encoder-decoders from nothing: what a size means for each architecture, and what a recipe may change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hft_core import HeadSpec, PluginError, RecipeError
from hft_plugins.transformers import tokenizer
from hft_plugins.transformers.models import T5
from hft_plugins.transformers.sizes import config_of

TEXTS = ["red cat sits", "猫狗山水", "the sun"]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tokenizer.train("bpe", 300, TEXTS, "t5").save(str(path))
    return path


def model(file: Path, architecture: str, config: dict[str, Any], **more: Any) -> T5:
    source = {"scratch": "tiny", "architecture": architecture, "tokenizer": file, "config": config}
    return T5.model_validate({"type": "t5", "source": source} | more)


@pytest.mark.parametrize("architecture", ["bart", "marian"])
def test_both_stacks_follow_the_size_and_what_is_changed(file: Path, architecture: str) -> None:
    own = model(file, architecture, {"hidden_size": 64, "num_attention_heads": 4, "decoder_layers": 1})
    words = own.preprocessor(None, [])
    net = own.build(None, words, {"main": HeadSpec("seq2seq-lm")})
    config = net.model.config
    assert config.model_type == architecture
    assert (config.encoder_layers, config.decoder_layers) == (2, 1)
    assert (config.encoder_ffn_dim, config.decoder_ffn_dim) == (256, 256)
    assert (config.encoder_attention_heads, config.decoder_attention_heads) == (4, 4)
    assert config.max_position_embeddings == 512
    assert config.vocab_size == words.vocabulary
    assert (config.pad_token_id, config.eos_token_id) == (words.pad_id, words.special["eos"])
    assert config.decoder_start_token_id == words.special["decoder_start"] == words.pad_id
    assert config.forced_eos_token_id is None
    tables = [tensor for tensor in net.parameters() if tensor.shape == (words.vocabulary, 64)]
    assert len(tables) == 1  # one for input, output and the last layer
    assert [part.name for part in net.parts()] == ["embeddings", "encoder.0", "encoder.1", "decoder.0", *(
        part.name for part in net.parts() if part.name.endswith("final")
    ), "head"]  # fmt: skip


@pytest.mark.parametrize("field", ["share_encoder_decoder_embeddings", "decoder_vocab_size", "forced_eos_token_id"])
def test_fields_that_the_tokenizer_or_the_net_decide_are_refused(field: str) -> None:
    with pytest.raises(RecipeError, match=f"marian has no field '{field}'"):
        config_of("marian", "tiny", {field: 1})


def test_positions_limit_the_length_where_there_are_any(file: Path) -> None:
    with pytest.raises(PluginError, match="max_length 700 is beyond the 512 positions"):
        model(file, "marian", {}, max_length=700).preprocessor(None, [])
    assert (
        model(file, "marian", {"max_position_embeddings": 800}, max_length=700).preprocessor(None, []).max_length == 700
    )
    assert model(file, "t5", {}, max_length=700).preprocessor(None, []).max_length == 700
