"""The special tokens of each family of models, by role."""

from __future__ import annotations

from collections.abc import Mapping

BERT = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
GPT = {"pad": "<|pad|>", "eos": "<|endoftext|>", "unk": "<|unk|>"}
T5 = {"pad": "<pad>", "eos": "</s>", "unk": "<unk>"}
FAMILIES: Mapping[str, Mapping[str, str]] = {"bert": BERT, "gpt": GPT, "t5": T5}

ROLES = ("pad", "unk", "cls", "sep", "mask", "bos", "eos")
SENTINELS = 100
"""How many sentinels a new tokenizer for T5 gets."""


def sentinel(number: int) -> str:
    """The token that stands for the hidden span of this number, from 0 on (Raffel et al. 2020)."""
    return f"<extra_id_{number}>"
