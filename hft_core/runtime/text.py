"""Text preprocessor: a tokenizer with what is needed to make model inputs of text. Numpy and tokenizers only.

Training and the runtime use this same class, so what a model sees at predict time is what it was trained on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from hft_core.runtime.ragged import Arrays, Ragged, concatenated

TARGET = "target_tokenizer.json"
"""The file with the tokenizer for texts that are written, where that is another than the one for texts that are read."""
_NOWHERE = (0, 0)
"""The characters of a token that stands for none."""
_AT_ONCE = 1000
"""Texts that are tokenised together: what the tokenizer gives takes many times the memory of the arrays made of it."""


def tokens_of(arrays: Arrays, preprocessor: object) -> NDArray[np.int64] | None:
    """What an objective's `tokens` gives where its batches hold the tokens of its texts as they are."""
    return preprocessor.tokens(arrays) if isinstance(preprocessor, TextPreprocessor) else None


class TextPreprocessor:
    """Tokens of one text, or of a pair, for a transformer."""

    module = "hft_core.runtime.text"

    def __init__(self, tokenizer: Tokenizer, settings: Mapping[str, Any], target: Tokenizer | Path | None = None):
        """`settings`: see `settings()`; `tokenizer` is changed (padding off, truncation set). `target`: see `targets`; of a file
        that is read when it is asked for, for predictions never do."""
        self.tokenizer = tokenizer
        self._target = target
        self.max_length: int = settings["max_length"]
        self.pad_id: int = settings["pad_id"]
        self.padding_side: str = settings["padding_side"]
        self.inputs: list[str] = list(settings["inputs"])
        self.special: dict[str, int] = dict(settings["special"])
        self.chat_template: str | None = settings.get("chat_template")
        self.vocabulary: int = tokenizer.get_vocab_size(with_added_tokens=True)
        tokenizer.no_padding()
        tokenizer.enable_truncation(self.max_length)

    def settings(self) -> dict[str, Any]:
        """Give max_length (tokens), pad_id, padding_side, inputs (names), special (role to id), and where there is one the
        chat_template (Jinja)."""
        settings = {
            "max_length": self.max_length,
            "pad_id": self.pad_id,
            "padding_side": self.padding_side,
            "inputs": self.inputs,
            "special": self.special,
        }
        return settings if self.chat_template is None else settings | {"chat_template": self.chat_template}

    def save(self, folder: Path) -> None:
        """Write tokenizer.json, and tokenizer_config.json so that transformers' AutoTokenizer reads the folder too."""
        self.tokenizer.save(str(folder / "tokenizer.json"))
        if (target := self._read_target()) is not None:
            target.save(str(folder / TARGET))
        tokens = {f"{role}_token": self.tokenizer.id_to_token(id) for role, id in self.special.items()}
        config = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": self.max_length,
            "padding_side": self.padding_side,
            "model_input_names": self.inputs,
            **tokens,
            **({} if self.chat_template is None else {"chat_template": self.chat_template}),
        }
        text = json.dumps(config, ensure_ascii=False, indent=2)
        (folder / "tokenizer_config.json").write_text(text + "\n", encoding="utf-8")

    @property
    def targets(self) -> TextPreprocessor:
        """What turns texts that are to be written into tokens: itself, unless the model has another tokenizer for them."""
        target = self._read_target()
        return self if target is None else TextPreprocessor(target, self.settings())

    def _read_target(self) -> Tokenizer | None:
        if isinstance(self._target, Path):
            self._target = Tokenizer.from_file(str(self._target))
        return self._target

    def encode(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> Arrays:
        """Give ragged `input_ids` int32 and, for pairs where the model wants it, `token_type_ids`.

        Of a pair that is too long the longer text is cut. A tokenizer that sets nothing between texts gets its end-of-text
        token there, and behind them.
        """
        if pairs is not None and not self._divides_pairs():
            return {"input_ids": self._divided(texts, pairs)}
        batch = list(texts) if pairs is None else list(zip(texts, pairs, strict=True))
        return concatenated([self._encode(batch[piece], pairs is not None) for piece in _pieces(batch)])

    def _encode(self, batch: list[Any], pairs: bool) -> Arrays:
        encodings = self.tokenizer.encode_batch_fast(batch)
        arrays: Arrays = {"input_ids": Ragged.from_rows([encoding.ids or self._empty for encoding in encodings])}
        if pairs and "token_type_ids" in self.inputs:
            arrays["token_type_ids"] = Ragged.from_rows([encoding.type_ids or [0] for encoding in encodings])
        return arrays

    def _divides_pairs(self) -> bool:
        """Whether the tokenizer itself sets something between the texts of a pair."""
        whose = self.tokenizer.encode("a", "a").sequence_ids
        inner = whose[whose.index(0) : len(whose) - whose[::-1].index(1)] if 0 in whose and 1 in whose else [None]
        return None in inner

    def _divided(self, texts: Sequence[str], pairs: Sequence[str]) -> Ragged:
        """The tokens of pairs with the frame of `_pair_frame` around them."""
        before, between, after, _ = self._pair_frame()
        room = self.max_length - len(before) - len(between) - len(after)
        entries = []
        for one, two in zip(self.bare(texts), self.bare(pairs), strict=True):
            own = one[: max(room - len(two), room - room // 2)]
            entries.append([*before, *own, *between, *two[: room - len(own)], *after])
        return Ragged.from_rows(entries)

    def windows(self, texts: Sequence[str], overlap: int = 0, offsets: bool = False) -> Arrays:
        """Like `encode` without cutting: a long text gives several entries; `row` int64 says whose each is.

        Args:
            overlap: tokens that neighbouring windows share, at most half of what a window holds.
            offsets: give `offsets` too, ragged int32 [tokens, 2]: the characters of each token, (0, 0) for a special one.
        """
        batch = list(texts)
        return concatenated([self._windows(batch[piece], piece.start, overlap, offsets) for piece in _pieces(batch)])

    def _windows(self, texts: list[str], first: int, overlap: int, offsets: bool) -> Arrays:
        before, after = self._frame()
        size = self.max_length - len(before) - len(after)
        shared = min(overlap, size // 2)
        entries, spans, rows = [], [], []
        for row, (ids, places) in enumerate(self._whole(texts, offsets), first):
            if not (ids or before or after):
                ids, places = self._empty, [_NOWHERE]
            for begin in _begins(len(ids), size, shared):
                own = slice(begin, begin + size)
                entries.append([*before, *ids[own], *after])
                spans += [*[_NOWHERE] * len(before), *places[own], *[_NOWHERE] * len(after)]
                rows.append(row)
        windows = Ragged.from_rows(entries)
        arrays: Arrays = {"input_ids": windows, "row": np.array(rows, np.int64)}
        if offsets:
            arrays["offsets"] = Ragged(np.array(spans, np.int32).reshape(-1, 2), windows.offsets)
        return arrays

    def _whole(self, texts: list[str], offsets: bool) -> Iterator[tuple[list[int], list[tuple[int, int]]]]:
        """All tokens of each text, without special ones, and with `offsets` their characters."""
        # What is cut off overflows: the parts together are the whole text.
        encode = self.tokenizer.encode_batch if offsets else self.tokenizer.encode_batch_fast
        for encoding in encode(texts, add_special_tokens=False):
            parts = (encoding, *encoding.overflowing)
            places = [span for part in parts for span in part.offsets] if offsets else []
            yield [id for part in parts for id in part.ids], places

    def pair_windows(
        self, firsts: Sequence[str], seconds: Sequence[str], overlap: int = 0, longest_first: int = 64
    ) -> Arrays:
        """Windows over the second text of each pair, every one of them behind its first text, as a pair is encoded.

        A first text is cut to `longest_first` tokens, and to half of what a window holds. A tokenizer that sets nothing
        between or behind texts gets its end-of-text token there.

        Args:
            overlap: tokens of the second text that neighbouring windows share, at most half of those in a window.
            longest_first: tokens.

        Returns:
            `input_ids` and, where the model wants it, `token_type_ids`, ragged int32; `offsets`, ragged int32 [tokens, 2]:
            the characters of the second text that each token stands for, (0, 0) for one of none; `row` int64.
        """
        firsts, seconds = list(firsts), list(seconds)
        return concatenated(
            [
                self._pair_windows(firsts[piece], seconds[piece], piece.start, overlap, longest_first)
                for piece in _pieces(seconds)
            ]
        )

    def _pair_windows(
        self, firsts: list[str], seconds: list[str], first: int, overlap: int, longest_first: int
    ) -> Arrays:
        before, between, after, (type_before, type_after) = self._pair_frame()
        room = self.max_length - len(before) - len(between) - len(after)
        entries, types, spans, rows = [], [], [], []
        pairs = zip(self._whole(firsts, offsets=False), self._whole(seconds, offsets=True), strict=True)
        for row, ((asked, _), (ids, places)) in enumerate(pairs, first):
            head = [*before, *asked[: min(longest_first, room // 2)], *between]
            size = self.max_length - len(head) - len(after)
            for begin in _begins(len(ids), size, min(overlap, size // 2)):
                own = slice(begin, begin + size)
                entry = [*head, *ids[own], *after]
                entries.append(entry)
                types.append([type_before] * len(head) + [type_after] * (len(entry) - len(head)))
                spans += [*[_NOWHERE] * len(head), *places[own], *[_NOWHERE] * len(after)]
                rows.append(row)
        windows = Ragged.from_rows(entries)
        arrays: Arrays = {"input_ids": windows, "row": np.array(rows, np.int64)}
        if "token_type_ids" in self.inputs:
            arrays["token_type_ids"] = Ragged.from_rows(types)
        arrays["offsets"] = Ragged(np.array(spans, np.int32).reshape(-1, 2), windows.offsets)
        return arrays

    def _frame(self) -> tuple[list[int], list[int]]:
        """The special tokens that stand before and after those of a text."""
        sample = self.tokenizer.encode("a")
        own = [position for position, special in enumerate(sample.special_tokens_mask) if not special]
        return (sample.ids[: own[0]], sample.ids[own[-1] + 1 :]) if own else (sample.ids, [])

    def _pair_frame(self) -> tuple[list[int], list[int], list[int], tuple[int, int]]:
        """The special tokens before, between and behind the texts of a pair, and the type of each half."""
        sample = self.tokenizer.encode("a", "a")
        places = {half: [at for at, whose in enumerate(sample.sequence_ids) if whose == half] for half in (0, 1)}
        if not (places[0] and places[1]):
            return [], self._empty, self._empty, (0, 0)
        (first, *_), (second, *_) = places[0], places[1]
        between = sample.ids[places[0][-1] + 1 : second]
        after = sample.ids[places[1][-1] + 1 :]
        types = (sample.type_ids[first], sample.type_ids[second])
        return sample.ids[:first], between or self._empty, after or self._empty, types

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

    def bare(self, texts: Sequence[str]) -> list[list[int]]:
        """Give all tokens of each text, none of them special, uncut: of texts that go on from others."""
        batch = list(texts)
        return [ids for piece in _pieces(batch) for ids, _ in self._whole(batch[piece], offsets=False)]

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

    def tokens(self, arrays: Arrays) -> NDArray[np.int64]:
        """The different token ids that batches of these encoded rows hold, the padding token among them; sorted."""
        values = arrays["input_ids"].values  # type: ignore[union-attr]  # encode() makes it ragged
        return np.union1d(np.unique(values), [self.pad_id]).astype(np.int64)

    def unknown_rate(self, arrays: Arrays) -> float:
        """Share of pieces that the vocabulary lacks; 0 where the tokenizer has no unknown token."""
        values = arrays["input_ids"].values  # type: ignore[union-attr]  # encode() makes it ragged
        if "unk" not in self.special or not len(values):
            return 0.0
        return float((values == self.special["unk"]).mean())


def _begins(tokens: int, size: int, shared: int) -> range:
    """Where the windows of `size` tokens begin, each sharing `shared` with the one before; one where there is no token."""
    return range(0, max(1, tokens - shared), size - shared)


def _pieces(texts: Sequence[Any]) -> list[slice]:
    """What is tokenised at once; one empty piece where there is no text."""
    return [slice(start, start + _AT_ONCE) for start in range(0, max(1, len(texts)), _AT_ONCE)]


def load(folder: Path, settings: Mapping[str, Any]) -> TextPreprocessor:
    """Restore a preprocessor from tokenizer.json in `folder`, the target's beside it if there is one, and its `settings`."""
    target = folder / TARGET
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    return TextPreprocessor(tokenizer, settings, target if target.is_file() else None)
