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

_NOWHERE = (0, 0)
"""The characters of a token that stands for none."""


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
        arrays: Arrays = {"input_ids": Ragged.from_rows([encoding.ids or self._empty for encoding in encodings])}
        if pairs is not None and "token_type_ids" in self.inputs:
            arrays["token_type_ids"] = Ragged.from_rows([encoding.type_ids or [0] for encoding in encodings])
        return arrays

    def windows(self, texts: Sequence[str], overlap: int = 0, offsets: bool = False) -> Arrays:
        """Like `encode` without cutting: a long text gives several entries; `row` int64 says whose each is.

        Args:
            overlap: tokens that neighbouring windows share, at most half of what a window holds.
            offsets: give `offsets` too, ragged int32 [tokens, 2]: the characters of each token, (0, 0) for a special one.
        """
        before, after = self._frame()
        size = self.max_length - len(before) - len(after)
        shared = min(overlap, size // 2)
        # What is cut off overflows: the parts together are the whole text.
        encode = self.tokenizer.encode_batch if offsets else self.tokenizer.encode_batch_fast
        entries, spans, rows = [], [], []
        for row, encoding in enumerate(encode(list(texts), add_special_tokens=False)):
            parts = (encoding, *encoding.overflowing)
            ids = [id for part in parts for id in part.ids]
            places = [span for part in parts for span in part.offsets] if offsets else []
            if not (ids or before or after):
                ids, places = self._empty, [_NOWHERE]
            for begin in range(0, max(1, len(ids) - shared), size - shared):
                own = slice(begin, begin + size)
                entries.append([*before, *ids[own], *after])
                spans += [*[_NOWHERE] * len(before), *places[own], *[_NOWHERE] * len(after)]
                rows.append(row)
        windows = Ragged.from_rows(entries)
        arrays: Arrays = {"input_ids": windows, "row": np.array(rows, np.int64)}
        if offsets:
            arrays["offsets"] = Ragged(np.array(spans, np.int32).reshape(-1, 2), windows.offsets)
        return arrays

    def _frame(self) -> tuple[list[int], list[int]]:
        """The special tokens that stand before and after those of a text."""
        sample = self.tokenizer.encode("a")
        own = [position for position, special in enumerate(sample.special_tokens_mask) if not special]
        return (sample.ids[: own[0]], sample.ids[own[-1] + 1 :]) if own else (sample.ids, [])

    @property
    def _empty(self) -> list[int]:
        """What a text of no tokens becomes: a row that attends to nothing has outputs that depend on its batch, or NaN."""
        return [self.special.get("eos", self.special.get("unk", self.pad_id))]

    def encode_end(self, texts: Sequence[str], length: int) -> Arrays:
        """Like `encode`, but of a longer text the last `length` tokens, leading special tokens included."""
        self.tokenizer.enable_truncation(length, direction="left")
        try:
            return self.encode(texts)
        finally:
            self.tokenizer.enable_truncation(self.max_length)

    def decode(self, tokens: Ragged) -> list[str]:
        """Turn token ids back into texts, one per entry, without special tokens."""
        return self.tokenizer.decode_batch([tokens[row].tolist() for row in range(len(tokens))])

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
