"""Tokenizers: loaded from a model's folder, or trained on the recipe's texts. Imports tokenizers, not transformers."""

from hft_plugins.transformers.tokenizer.load import from_file, from_folder, positions
from hft_plugins.transformers.tokenizer.scratch import for_scratch, train

__all__ = ["for_scratch", "from_file", "from_folder", "positions", "train"]
