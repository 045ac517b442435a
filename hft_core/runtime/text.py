"""Text preprocessor: a tokenizer with what is needed to make model inputs of text. Numpy and tokenizers only.

Training and the runtime use this same class, so what a model sees at predict time is what it was trained on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from hft_core.runtime.ragged import Arrays, Ragged


class TextPreprocessor:
    """Tokens of one text, or of a pair, for a transformer."""

    module = "hft_core.runtime.text"

    def __init__(self, tokenizer: Tokenizer, settings: Mapping[str, Any]):
        """`settings`: see `settings()`; `tokenizer` is changed (padding off, truncation set)."""
        self.tokenizer = tokenizer
        self.max_length: int = settings["max_length"]
        self.pad_id: int = settings["pad_id"]
        self.padding_side: str = settings["padding_side"]
        self.inputs: list[str] = list(settings["inputs"])
        self.special: dict[str, int] = dict(settings["special"])
        self.vocabulary: int = tokenizer.get_vocab_size(with_added_tokens=True)
        tokenizer.no_padding()
        tokenizer.enable_truncation(self.max_length)

    def settings(self) -> dict[str, Any]:
        """Give max_length (tokens), pad_id, padding_side, inputs (names) and special (role to id)."""
        return {
            "max_length": self.max_length,
            "pad_id": self.pad_id,
            "padding_side": self.padding_side,
            "inputs": self.inputs,
            "special": self.special,
        }

    def save(self, folder: Path) -> None:
        """Write tokenizer.json, and tokenizer_config.json so that transformers' AutoTokenizer reads the folder too."""
        self.tokenizer.save(str(folder / "tokenizer.json"))
        tokens = {f"{role}_token": self.tokenizer.id_to_token(id) for role, id in self.special.items()}
        config = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": self.max_length,
            "padding_side": self.padding_side,
            "model_input_names": self.inputs,
            **tokens,
        }
        text = json.dumps(config, ensure_ascii=False, indent=2)
        (folder / "tokenizer_config.json").write_text(text + "\n", encoding="utf-8")

    def encode(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> Arrays:
        """Give ragged `input_ids` int32 and, for pairs where the model wants it, `token_type_ids`."""
        batch = list(texts) if pairs is None else list(zip(texts, pairs, strict=True))
        encodings = self.tokenizer.encode_batch_fast(batch)
        # A text of no tokens would be a row that attends to nothing, whose outputs depend on its batch or are NaN.
        empty = [self.special.get("eos", self.special.get("unk", self.pad_id))]
        arrays: Arrays = {"input_ids": Ragged.from_rows([encoding.ids or empty for encoding in encodings])}
        if pairs is not None and "token_type_ids" in self.inputs:
            arrays["token_type_ids"] = Ragged.from_rows([encoding.type_ids or [0] for encoding in encodings])
        return arrays

    def windows(self, texts: Sequence[str]) -> Arrays:
        """Like `encode` without cutting: a long text gives several entries; `row` int64 says whose each is."""
        encodings = self.tokenizer.encode_batch_fast(list(texts))
        pieces = [(row, part) for row, whole in enumerate(encodings) for part in (whole, *whole.overflowing)]
        ids = Ragged.from_rows([part.ids for _, part in pieces])
        return {"input_ids": ids, "row": np.array([row for row, _ in pieces], np.int64)}

    def pad(self, arrays: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        """Give int64 `input_ids`, `attention_mask` and, where the model wants it, `token_type_ids` [rows, longest].

        Arrays that are not ragged pass unchanged.
        """
        ids = arrays["input_ids"]
        batch = {name: array for name, array in arrays.items() if not isinstance(array, Ragged)}
        batch["input_ids"] = ids.padded(self.pad_id, side=self.padding_side, dtype=np.int64)
        batch["attention_mask"] = ids.mask(side=self.padding_side).astype(np.int64)
        if "token_type_ids" in self.inputs:
            types = arrays.get("token_type_ids")
            batch["token_type_ids"] = (
                np.zeros_like(batch["input_ids"])
                if types is None
                else types.padded(0, side=self.padding_side, dtype=np.int64)
            )
        return batch

    def unknown_rate(self, arrays: Arrays) -> float:
        """Share of pieces that the vocabulary lacks; 0 where the tokenizer has no unknown token."""
        values = arrays["input_ids"].values  # type: ignore[union-attr]  # encode() makes it ragged
        if "unk" not in self.special or not len(values):
            return 0.0
        return float((values == self.special["unk"]).mean())


def load(folder: Path, settings: Mapping[str, Any]) -> TextPreprocessor:
    """Restore a preprocessor from tokenizer.json in `folder` and its `settings`."""
    return TextPreprocessor(Tokenizer.from_file(str(folder / "tokenizer.json")), settings)
