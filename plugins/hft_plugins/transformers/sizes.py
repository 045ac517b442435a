"""Configurations of freshly initialised models: a named size, and what a recipe changes of it."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import transformers

from hft_core import RecipeError
from hft_core.runtime.text import TextPreprocessor

POSITIONS = 512
"""Longest sequence of a fresh model, unless its recipe says otherwise."""
_SIZES = {"tiny": (2, 128, 2), "mini": (4, 256, 4), "small": (4, 512, 8), "base": (12, 768, 12)}
_CONFIGS: Mapping[str, Any] = {
    "bert": transformers.BertConfig,
    "gpt2": transformers.GPT2Config,
    "llama": transformers.LlamaConfig,
    "t5": transformers.T5Config,
    "bart": transformers.BartConfig,
    "marian": transformers.MarianConfig,
}
_DECIDED = frozenset(
    {"is_decoder", "add_cross_attention", "use_cache", "vocab_size", "decoder_vocab_size"}
    | {"share_encoder_decoder_embeddings"}
)
"""Fields that the model's type and its tokenizer decide, besides the ids of special tokens."""


def config_of(
    architecture: str, size: str, changes: Mapping[str, Any], preprocessor: TextPreprocessor | None = None
) -> Any:
    """Make the configuration; without a preprocessor only to see whether there is one.

    Fields have the names of the library's configuration, and as it allows the common ones (`hidden_size`, …) everywhere.
    Raises RecipeError for a field that the architecture does not have, or a value that it does not take.
    """
    own = _CONFIGS[architecture]
    changes = {own.attribute_map.get(name, name): value for name, value in _known(architecture, changes).items()}
    layers, width, heads = _SIZES[size]
    names = {common: own.attribute_map.get(common, common) for common in _COMMON}
    fields = {names["num_hidden_layers"]: layers, names["hidden_size"]: width, names["num_attention_heads"]: heads}
    fields |= changes
    width, heads = fields[names["hidden_size"]], fields[names["num_attention_heads"]]
    if not all(isinstance(value, int) and value > 0 for value in (width, heads)) or width % heads:
        raise RecipeError(
            f"model: hidden_size has to be a multiple of num_attention_heads, found {width} and {heads}; set both in "
            "`config:` of the source"
        )
    fields = _derived(architecture, fields[names["num_hidden_layers"]], width, heads) | fields
    try:
        return own(**fields, **(_tokens(architecture, preprocessor) if preprocessor is not None else {}))
    except Exception as error:  # the library's checks raise errors of their own
        reason = " ".join(str(error).split())
        raise RecipeError(f"model: `config:` of the source does not make a {architecture}: {reason}") from error


def longest(config: Any) -> int | None:
    """Positions of a configuration; None where they are relative."""
    found: int | None = getattr(config, "max_position_embeddings", None)
    return found


_COMMON = ("hidden_size", "num_hidden_layers", "num_attention_heads")


def _known(architecture: str, changes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Refuse fields that the architecture lacks, or that are not the recipe's to set."""
    own = _CONFIGS[architecture]
    known = set(own().to_dict()) - (set(transformers.PreTrainedConfig().to_dict()))
    known = {name for name in known | set(own.attribute_map) if name not in _DECIDED and not name.endswith("token_id")}
    for name in changes:
        if name not in known:
            near = get_close_matches(name, sorted(known), n=2) or sorted(known & {*_COMMON, "intermediate_size"})
            raise RecipeError(
                f"model: {architecture} has no field {name!r} that `config:` of the source can set; the nearest: "
                f"{', '.join(near)}"
            )
    return changes


def _derived(architecture: str, layers: int, width: int, heads: int) -> dict[str, Any]:
    """What follows from the width in the architecture's published sizes."""
    if architecture == "bert":
        return {"intermediate_size": 4 * width, "max_position_embeddings": POSITIONS}
    if architecture == "gpt2":
        return {"n_positions": POSITIONS}
    if architecture == "llama":
        # Three matrices of 8/3 of the width are as many numbers as two of four times the width.
        return {"intermediate_size": -(-8 * width // 3 // 32) * 32, "max_position_embeddings": POSITIONS}
    if architecture in ("bart", "marian"):
        both = {"layers": layers, "ffn_dim": 4 * width, "attention_heads": heads}
        found = {f"{stack}_{name}": value for stack in ("encoder", "decoder") for name, value in both.items()}
        # The embeddings of so narrow a model would drown in the positions that are added to them.
        return found | {"max_position_embeddings": POSITIONS, "scale_embedding": True}
    return {"d_ff": 4 * width, "d_kv": width // heads}


def _tokens(architecture: str, preprocessor: TextPreprocessor) -> dict[str, Any]:
    """The vocabulary, and the tokens by which the library pads, starts and ends."""
    end = preprocessor.special.get("eos")
    found: dict[str, Any] = {"vocab_size": preprocessor.vocabulary, "pad_token_id": preprocessor.pad_id}
    if architecture in ("gpt2", "llama"):
        found |= {"bos_token_id": end, "eos_token_id": end}
    if architecture in ("t5", "bart", "marian"):
        found |= {"eos_token_id": end, "decoder_start_token_id": preprocessor.special["decoder_start"]}
    if architecture in ("bart", "marian"):
        found |= {"bos_token_id": None, "forced_eos_token_id": None}
    return found
