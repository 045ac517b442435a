"""Tokenizers: loaded from a model's folder, or trained on the recipe's texts. Imports tokenizers, not transformers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from hft_core import DataError, PluginError
from hft_core.runtime.text import TextPreprocessor

_BERT_SPECIAL = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
_GPT_SPECIAL = {"pad": "<|pad|>", "eos": "<|endoftext|>"}
_INNER = "##"
"""What WordPiece puts before a piece that continues a word."""
_ROLES = ("pad", "unk", "cls", "sep", "mask", "bos", "eos")
SCRATCH_POSITIONS = 512
"""Longest sequence of a freshly initialised model."""
_LONGEST_DEFAULT = 512


def from_folder(folder: Path, max_length: int | None) -> TextPreprocessor:
    """Load the tokenizer of a transformers folder. Raises PluginError where it does not match the weights."""
    config = _settings(folder / "config.json")
    tokenizer = _load(folder)
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
    inputs = ["input_ids", "attention_mask"]
    if config.get("type_vocab_size", 0) > 1:
        inputs.append("token_type_ids")
    return TextPreprocessor(
        tokenizer,
        {
            "max_length": max_length or min(longest or _LONGEST_DEFAULT, _LONGEST_DEFAULT),
            "pad_id": pad,
            "padding_side": "right",
            "inputs": inputs,
            "special": special,
        },
    )


def from_file(path: Path) -> Tokenizer:
    """Load a tokenizer.json, given as file or folder."""
    file = path / "tokenizer.json" if path.is_dir() else path
    if not file.is_file():
        raise PluginError(f"model: there is no tokenizer at {file}; set `tokenizer:` to a tokenizer.json or its folder")
    return _parsed(file)


def train(kind: str, size: int, texts: Iterable[str]) -> Tokenizer:
    """Train a WordPiece (Devlin et al. 2019) or byte-level BPE (Radford et al. 2019) tokenizer of at most `size` tokens.

    The same texts give the same tokenizer. `texts` may be read twice, so an iterator will not do.
    """
    tokenizer = _trained_wordpiece(size, texts) if kind == "wordpiece" else _trained_bpe(size, texts)
    if tokenizer.get_vocab_size() <= len(_BERT_SPECIAL if kind == "wordpiece" else _GPT_SPECIAL):
        raise DataError("model: the training texts are empty, so no tokenizer can be trained on them")
    return tokenizer


def _trained_wordpiece(size: int, texts: Iterable[str]) -> Tokenizer:
    """Train twice, so that the same texts give the same tokens.

    The library numbers the single letters within words in an order that differs from process to process, and merges
    equally frequent pairs by number. The first training, without a merge, only finds these letters; the second gets them
    in order.
    """
    special = list(_BERT_SPECIAL.values())
    alphabet = _wordpiece_vocabulary(1, special, texts)
    inner = sorted(token for token in alphabet if token.startswith(_INNER) and token not in special)
    vocabulary = _wordpiece_vocabulary(size, [*special, *inner], texts)
    tokenizer = _empty_wordpiece(vocabulary)
    tokenizer.add_special_tokens([token for token in special if token in vocabulary])
    if vocabulary:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]",
            pair="[CLS] $A [SEP] $B:1 [SEP]:1",
            special_tokens=[(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")],
        )
    return tokenizer


def _wordpiece_vocabulary(size: int, first: list[str], texts: Iterable[str]) -> dict[str, int]:
    """Give the ids of a trained vocabulary that begins with the tokens `first`."""
    tokenizer = _empty_wordpiece({})
    trainer = trainers.WordPieceTrainer(vocab_size=size, special_tokens=first, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer=trainer)
    return tokenizer.get_vocab(with_added_tokens=True)


def _empty_wordpiece(vocabulary: dict[str, int]) -> Tokenizer:
    model = models.WordPiece(vocab=vocabulary, unk_token="[UNK]", max_input_chars_per_word=100)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix=_INNER)
    return tokenizer


def _trained_bpe(size: int, texts: Iterable[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(_GPT_SPECIAL.values()),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer=trainer)
    return tokenizer


def for_scratch(tokenizer: Tokenizer, family: str, max_length: int | None) -> TextPreprocessor:
    """Make the preprocessor of a fresh model."""
    if max_length is not None and max_length > SCRATCH_POSITIONS:
        raise PluginError(
            f"model: max_length {max_length} is beyond the {SCRATCH_POSITIONS} positions of a scratch model"
        )
    special = {
        role: id
        for names in (_BERT_SPECIAL, _GPT_SPECIAL)
        for role, token in names.items()
        if (id := tokenizer.token_to_id(token)) is not None
    }
    if family == "bert" and "mask" not in special:
        raise PluginError(
            "model: the tokenizer has no [MASK] token, so an encoder cannot use it; train a wordpiece one"
        )
    return TextPreprocessor(
        tokenizer,
        {
            "max_length": max_length or SCRATCH_POSITIONS,
            "pad_id": special.get("pad", special.get("eos", 0)),
            "padding_side": "right",
            "inputs": ["input_ids", "attention_mask"] + (["token_type_ids"] if family == "bert" else []),
            "special": special,
        },
    )


def _load(folder: Path) -> Tokenizer:
    if (folder / "tokenizer.json").is_file():
        return _parsed(folder / "tokenizer.json")
    from transformers import AutoTokenizer  # only it knows how to convert the older formats

    try:
        return AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False).backend_tokenizer
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
    for role in _ROLES:
        value = named.get(f"{role}_token")
        token = value.get("content") if isinstance(value, dict) else value
        usual = (_BERT_SPECIAL.get(role), f"<{role}>", _GPT_SPECIAL.get(role))
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
