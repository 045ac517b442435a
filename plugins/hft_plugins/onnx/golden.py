"""Golden vectors: a dozen real rows whose predictions travel with the bundle."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hft_core import Columns, Prediction
from hft_core.runtime.agreement import margin

ROWS = 12


def chosen(columns: Columns, texts: Sequence[str], predictions: Sequence[Prediction]) -> list[int]:
    """Choose rows, hard ones first: shortest, longest, Chinese, emoji, least sure; then evenly spaced ones.

    Args:
        columns: raw rows.
        texts: the columns with text.
        predictions: one per row.
    """
    whole = ["\n".join(columns[name][row] for name in texts) for row in range(len(predictions))]
    rows = range(len(whole))
    by_length = sorted(rows, key=lambda row: len(whole[row]))
    hard = [*by_length[:2], *by_length[-2:]]
    hard += _first(whole, lambda character: "\u4e00" <= character <= "\u9fff", 2)
    hard += _first(whole, lambda character: ord(character) > 0xFFFF, 1)
    hard += sorted(rows, key=lambda row: margin(predictions[row]))[:2]
    spaced = [index * len(whole) // ROWS for index in range(ROWS)] if len(whole) > ROWS else list(rows)
    return list(dict.fromkeys([*hard, *spaced]))[:ROWS]


def _first(texts: Sequence[str], has: Callable[[str], bool], count: int) -> list[int]:
    return [row for row, text in enumerate(texts) if any(map(has, text))][:count]
