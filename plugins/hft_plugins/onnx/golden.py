"""Golden vectors: a dozen rows whose predictions travel with the bundle; real ones, or invented where no text may."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hft_core import Columns, PluginError, Prediction
from hft_core.runtime.agreement import margin
from hft_core.runtime.randomness import generator

ROWS = 12
_DRAWN = 48
SENTENCES = (
    "A short sentence.", "Nothing in here was written by anybody: it checks that a machine computes what another did.",
    "这句话不来自任何数据。", "中文 and English 混在一起，1,234.50 元。", "¿Qué? Ça va, naïve Straße!", "👍🏽 1 + 1 = 2", "?",
    "word " * 40,
)  # fmt: skip


def chosen(columns: Columns, texts: Sequence[str], predictions: Sequence[Prediction], share: int = 1) -> list[int]:
    """Choose rows, hard ones first: shortest, longest, Chinese, emoji, least sure; then evenly spaced ones.

    Args:
        columns: raw rows.
        texts: the columns with text.
        predictions: one per row.
        share: how many tasks there are, which have `ROWS` together.
    """
    whole = ["\n".join(columns[name][row] for name in texts) for row in range(len(predictions))]
    rows = range(len(whole))
    by_length = sorted(rows, key=lambda row: len(whole[row]))
    hard = [*by_length[:2], *by_length[-2:]]
    hard += _first(whole, lambda character: "\u4e00" <= character <= "\u9fff", 2)
    hard += _first(whole, lambda character: ord(character) > 0xFFFF, 1)
    hard += sorted(rows, key=lambda row: margin(predictions[row]))[:2]
    spaced = [index * len(whole) // ROWS for index in range(ROWS)] if len(whole) > ROWS else list(rows)
    return list(dict.fromkeys([*hard, *spaced]))[: -(-ROWS // share)]


def invented(preprocessor: Any) -> list[str]:
    """Give texts that stand in no data: a few sentences, and draws from the vocabulary where the preprocessor has one.

    They reach the tokens, lengths and scripts that the model knows, which the sentences alone might not.
    """
    tokenizer = getattr(preprocessor, "tokenizer", None)
    texts = list(SENTENCES)
    if tokenizer is None:
        return texts
    random = generator(0, "golden")
    special = set(tokenizer.get_added_tokens_decoder())
    usable = np.array(sorted(set(tokenizer.get_vocab().values()) - special))
    longest = int(getattr(preprocessor, "max_length", 64))
    for size in np.geomspace(1, max(2, longest), _DRAWN).round().astype(int).tolist():
        text = tokenizer.decode(random.choice(usable, size).tolist()) if len(usable) else ""
        texts += [text] if text.strip() and "\ufffd" not in text else []
    return texts


def plain(column: str, value: Any) -> Any:
    """Give the value of a golden row. Raises PluginError where JSON, in which it travels, would give back another one."""
    try:
        same = bool(json.loads(json.dumps(value, allow_nan=False)) == value)
    except (TypeError, ValueError):
        same = False
    if not same:
        raise PluginError(
            f"onnx export: the column {column!r} holds a {type(value).__name__}, which is no JSON value; a bundle's rows "
            "are JSON, so the reader has to give something plain (bytes as base64 text, arrays as lists)"
        )
    return value


def _first(texts: Sequence[str], has: Callable[[str], bool], count: int) -> list[int]:
    return [row for row, text in enumerate(texts) if any(map(has, text))][:count]
