"""What a recipe says of a freshly initialised model."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from hft_core import Settings

ARCHITECTURES = {"bert": ("bert",), "gpt": ("gpt2", "llama"), "t5": ("t5", "bart", "marian")}
"""The architectures that each type of model can be made anew as; the first is the usual one."""


class TokenizerSettings(Settings):
    """A new tokenizer, trained on the recipe's cleaned training texts."""

    type: Literal["wordpiece", "bpe", "unigram"]
    """`wordpiece` (BERT's, Chinese characters one by one), `bpe` (GPT-2's, over bytes: nothing is unknown) or `unigram`
    (T5's; finds words in Chinese, where nothing else does)."""
    size: int = Field(default=8000, ge=100)
    """Number of tokens at most (for the model `t5` without its 100 sentinels). `wordpiece` has a token for every character
    of the texts all the same, and `unigram` refuses a number below theirs: Chinese takes thousands."""


class Scratch(Settings):
    """A freshly initialised model."""

    scratch: Literal["tiny", "mini", "small", "base"]
    """Layers / width / heads: tiny 2/128/2, mini 4/256/4, small 4/512/8, base 12/768/12."""
    tokenizer: TokenizerSettings | Path
    """A tokenizer to train, or a folder or file to take one from."""
    architecture: Literal["bert", "gpt2", "llama", "t5", "bart", "marian"] | None = None
    """`bert` for the model `bert`; `gpt2` (default) or `llama` for `gpt`; `t5` (default), `bart` or `marian` for `t5`."""
    config: dict[str, bool | int | float | str] = Field(default_factory=dict)
    """Fields of the architecture's configuration in place of the named size's, such as `{hidden_size: 96,
    num_hidden_layers: 3, max_position_embeddings: 1024}`; a width that is changed changes what follows from it."""


class ExtendVocabulary(Settings):
    """New tokens for frequent words of the recipe's training texts that the source's tokenizer cuts up or does not know."""

    size: int = Field(ge=1)
    """New tokens at most."""
    minimum: int = Field(default=5, ge=1)
    """How often a word has to occur."""
