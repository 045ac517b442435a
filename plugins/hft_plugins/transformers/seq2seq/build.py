"""Building an encoder-decoder: from a folder of weights, or fresh."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import transformers

from hft_core import HeadSpec, PluginError
from hft_core.runtime.text import TextPreprocessor
from hft_plugins.transformers.build import attention, loaded
from hft_plugins.transformers.net import quiet
from hft_plugins.transformers.seq2seq.net import Seq2SeqNet

_AUTO: Any = transformers.AutoModelForSeq2SeqLM


def from_folder(start: Path, preprocessor: TextPreprocessor, heads: Mapping[str, HeadSpec]) -> Seq2SeqNet:
    """Load a model in fp32; an output layer that the folder lacks is initialised, and named new.

    Raises PluginError for weights that are not of an encoder-decoder, or lack more than that layer.
    """
    with quiet():
        model, missing = loaded(_AUTO, start, {})
    if not model.config.is_encoder_decoder:
        raise PluginError(
            f"model: {start} is a {model.config.model_type}, which is no encoder-decoder; use the model `bert` or `gpt`"
        )
    output = {id(parameter) for parameter in model.get_output_embeddings().parameters()}
    named = dict(model.named_parameters(remove_duplicate=False))
    lost = sorted(name for name in missing if name in named and id(named[name]) not in output)
    if lost:
        raise PluginError(
            f"model: the weights in {start} lack {len(lost)} parameters of its config.json's architecture, such as "
            f"{lost[0]}; training would start from random numbers. Copy the model again, or use {{scratch: …}}"
        )
    _start_token(model, preprocessor)
    return Seq2SeqNet(model, list(heads), frozenset(heads if missing & set(named) else ()))


def from_scratch(config: Any, preprocessor: TextPreprocessor, heads: Mapping[str, HeadSpec]) -> Seq2SeqNet:
    """Initialise a model."""
    with quiet():
        model = _AUTO.from_config(config, attn_implementation=attention(), trust_remote_code=False)
    _start_token(model, preprocessor)
    return Seq2SeqNet(model, list(heads), frozenset())


def _start_token(model: Any, preprocessor: TextPreprocessor) -> None:
    """Let the library's own generation begin as training does."""
    model.generation_config.decoder_start_token_id = preprocessor.special["decoder_start"]
