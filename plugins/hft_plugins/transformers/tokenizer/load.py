"""Tokenizers of a model's folder or of a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from hft_core import PluginError
from hft_core.runtime.text import TARGET, TextPreprocessor
from hft_plugins.transformers.tokenizer.marian import from_marian, is_marian
from hft_plugins.transformers.tokenizer.special import FAMILIES, ROLES

_LONGEST_DEFAULT = 512
_USUAL = {role: [names[role] for names in FAMILIES.values() if role in names] for role in ROLES}
"""What a special token is called where no file says."""


def from_folder(folder: Path, max_length: int | None) -> TextPreprocessor:
    """Load the tokenizer of a transformers folder. Raises PluginError where it does not match the weights."""
    config = _settings(folder / "config.json")
    tokenizer, target = _load(folder)
    special = _special_tokens(folder, tokenizer)
    vocabulary = config.get("vocab_size")
    if vocabulary is not None and tokenizer.get_vocab_size() > vocabulary:
        raise PluginError(
            f"model: the tokenizer of {folder} has {tokenizer.get_vocab_size()} tokens but the weights only {vocabulary}; "
            "they do not belong together"
        )
    longest = positions(config)
    if max_length is not None and longest is not None and max_length > longest:
        raise PluginError(f"model: max_length {max_length} is beyond the {longest} positions of {folder}; lower it")
    pad = special.get("pad", special.get("eos", 0))
    if config.get("is_encoder_decoder"):
        special |= _of_decoder(folder, config, pad)
    inputs = ["input_ids", "attention_mask"]
    if config.get("type_vocab_size", 0) > 1:
        inputs.append("token_type_ids")
    template = _chat_template(folder)
    return TextPreprocessor(
        tokenizer,
        {
            **({} if template is None else {"chat_template": template}),
            "max_length": max_length or min(longest or _LONGEST_DEFAULT, _LONGEST_DEFAULT),
            "pad_id": pad,
            "padding_side": "right",
            "inputs": inputs,
            "special": special,
        },
        target,
    )


def _chat_template(folder: Path) -> str | None:
    """The template by which messages become a text, in a file of its own or in the tokenizer's settings; None: there is none."""
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text("utf-8")
    settings = folder / "tokenizer_config.json"
    found = _settings(settings).get("chat_template") if settings.is_file() else None
    if isinstance(found, list):  # several, by name
        found = next((one.get("template") for one in found if one.get("name") == "default"), None)
    return found if isinstance(found, str) else None


def _of_decoder(folder: Path, config: dict[str, Any], pad: int) -> dict[str, int]:
    """What the weights of an encoder-decoder were trained to begin with, to write first and last, and never to write.

    Raises PluginError for several tokens that are never to be written, which generation here cannot do.
    """
    file = folder / "generation_config.json"
    said = config | {
        name: value for name, value in (_settings(file) if file.is_file() else {}).items() if value is not None
    }
    start, never = said.get("decoder_start_token_id"), said.get("bad_words_ids") or []
    if any(len(words) != 1 for words in never) or len(never) > 1:
        raise PluginError(
            f"model: {file} has `bad_words_ids` of more than one token, which hft cannot leave out when it writes; take "
            "them out of that file if the weights can do without"
        )
    roles = {
        "decoder_start": pad if start is None else start,
        "forced_first": said.get("forced_bos_token_id"),
        "forced_last": said.get("forced_eos_token_id"),
        "never": never[0][0] if never else None,
    }
    return {role: id for role, id in roles.items() if id is not None}


def from_file(path: Path) -> Tokenizer:
    """Load a tokenizer.json, given as file or folder."""
    file = path / "tokenizer.json" if path.is_dir() else path
    if not file.is_file():
        raise PluginError(f"model: there is no tokenizer at {file}; set `tokenizer:` to a tokenizer.json or its folder")
    return _parsed(file)


def _load(folder: Path) -> tuple[Tokenizer, Tokenizer | None]:
    """The tokenizer, and the one for texts that are written where that is another."""
    if (folder / "tokenizer.json").is_file():
        target = folder / TARGET
        return _parsed(folder / "tokenizer.json"), _parsed(target) if target.is_file() else None
    if is_marian(folder):
        settings = folder / "tokenizer_config.json"
        return from_marian(folder, _settings(settings) if settings.is_file() else {}, _settings(folder / "vocab.json"))
    from transformers import AutoTokenizer  # only it knows how to convert the older formats

    try:
        return AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False).backend_tokenizer, None
    except Exception as error:  # conversion fails in many ways; to a user they mean the same
        raise PluginError(f"model: the tokenizer in {folder} cannot be converted to tokenizer.json: {error}") from error


def _parsed(file: Path) -> Tokenizer:
    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # tokenizers raises a bare Exception
        raise PluginError(f"model: {file} is not a readable tokenizer.json: {error}") from error


def _settings(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise PluginError(f"model: {file} is not JSON ({error}); copy the model again") from error
    if not isinstance(content, dict):
        raise PluginError(f"model: {file} is no set of settings {{…}}; copy the model again")
    return content


def _special_tokens(folder: Path, tokenizer: Tokenizer) -> dict[str, int]:
    """Ids of the special tokens by role, from the folder's configuration files, else by their usual names."""
    named: dict[str, Any] = {}
    for file in ("special_tokens_map.json", "tokenizer_config.json"):
        if (folder / file).is_file():
            named |= _settings(folder / file)
    special: dict[str, int] = {}
    for role in ROLES:
        value = named.get(f"{role}_token")
        token = value.get("content") if isinstance(value, dict) else value
        usual = (*_USUAL[role], f"<{role}>")
        for candidate in (token,) if token else usual:
            if candidate and (id := tokenizer.token_to_id(candidate)) is not None:
                special.setdefault(role, id)
    return special


def positions(config: dict[str, Any]) -> int | None:
    """Give the longest sequence in tokens that the settings of a config.json allow; None where they set no limit."""
    table: int | None = config.get("max_position_embeddings") or config.get("n_positions")
    if table is None or config.get("position_embedding_type", "absolute") not in ("absolute", None):
        return table
    if config.get("model_type") not in _OFFSET_FAMILIES:
        return table
    # These number positions from the padding id on, so that many are lost.
    padding = config.get("pad_token_id")
    return table - (1 if padding is None else padding) - 1


_OFFSET_FAMILIES = {"roberta", "xlm-roberta", "camembert", "mpnet", "longformer"}
