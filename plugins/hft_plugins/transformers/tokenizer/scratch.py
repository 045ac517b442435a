"""New tokenizers, with the special tokens of the model's family, and the preprocessor of a fresh model."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Tokenizer, processors

from hft_core import DataError, PluginError
from hft_core.runtime.text import TextPreprocessor
from hft_plugins.transformers.tokenizer import bpe, unigram, wordpiece
from hft_plugins.transformers.tokenizer.special import FAMILIES, SENTINELS, sentinel

_USUAL = {"wordpiece": "bert", "bpe": "gpt", "unigram": "t5"}
"""Whose special tokens a tokenizer gets where nobody says."""
_INPUTS = {"bert": ["input_ids", "attention_mask", "token_type_ids"]}

_LONGEST = 512


def train(kind: str, size: int, texts: Iterable[str], family: str | None = None) -> Tokenizer:
    """Train a tokenizer of at most `size` tokens; the same texts give the same tokenizer.

    Args:
        kind: `wordpiece`, `bpe` (byte-level) or `unigram`.
        size: tokens at most, special ones included; a T5's 100 sentinels come on top, as in the original.
        texts: may be read twice, so an iterator will not do.
        family: `bert`, `gpt` or `t5`: whose special tokens it gets; default: that of the model which made it known.

    Raises:
        DataError: there is no text, or it has more characters than there may be tokens.
    """
    family = family or _USUAL[kind]
    bytewise = kind == "bpe"  # to which nothing is unknown
    roles = {role: token for role, token in FAMILIES[family].items() if not (bytewise and role == "unk")}
    special = list(roles.values())
    if kind == "wordpiece":
        tokenizer = wordpiece.trained(size, texts, special, roles["unk"])
    elif bytewise:
        tokenizer = bpe.trained(size, texts, special)
    else:
        tokenizer = unigram.trained(size, texts, special, roles["unk"])
    if tokenizer.get_vocab_size() <= len(special):
        raise DataError("model: the training texts are empty, so no tokenizer can be trained on them")
    if family == "t5":
        tokenizer.add_special_tokens([sentinel(number) for number in range(SENTINELS)])
    _frame(tokenizer, family)
    return tokenizer


def _frame(tokenizer: Tokenizer, family: str) -> None:
    """Put around each text what models of the family expect there."""
    if family == "bert":
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]",
            pair="[CLS] $A [SEP] $B:1 [SEP]:1",
            special_tokens=[(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")],
        )
    elif family == "t5":
        end = FAMILIES["t5"]["eos"]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"$A {end}", pair=f"$A {end} $B {end}", special_tokens=[(end, tokenizer.token_to_id(end))]
        )


def for_scratch(
    tokenizer: Tokenizer, family: str, max_length: int | None, positions: int | None = 512
) -> TextPreprocessor:
    """Make the preprocessor of a fresh model of so many positions, None where there is no limit."""
    if max_length is not None and positions is not None and max_length > positions:
        raise PluginError(
            f"model: max_length {max_length} is beyond the {positions} positions of a scratch model; lower it, or set "
            "more with `config: {max_position_embeddings: …}` of the source"
        )
    special = {
        role: id
        for names in FAMILIES.values()
        for role, token in names.items()
        if (id := tokenizer.token_to_id(token)) is not None
    }
    if family == "bert" and "mask" not in special:
        raise PluginError(
            "model: the tokenizer has no [MASK] token, so an encoder cannot use it; let one be trained "
            "(`tokenizer: {type: wordpiece}`)"
        )
    if family == "t5":
        if "eos" not in special or "pad" not in special:
            raise PluginError(
                "model: the tokenizer lacks <pad> or </s>, between which a T5 writes; let one be trained "
                "(`tokenizer: {type: unigram}`)"
            )
        special["decoder_start"] = special["pad"]
    return TextPreprocessor(
        tokenizer,
        {
            "max_length": max_length or min(positions or _LONGEST, _LONGEST),
            "pad_id": special.get("pad", special.get("eos", 0)),
            "padding_side": "right",
            "inputs": _INPUTS.get(family, ["input_ids", "attention_mask"]),
            "special": special,
        },
    )
