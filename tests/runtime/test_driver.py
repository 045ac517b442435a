from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hft_core import NonFiniteError, PluginError
from hft_core.runtime.driver import Outcome, RuntimeTask, blocks, predict
from hft_core.runtime.ragged import Ragged


class Letters:
    """A preprocessor and call in one: ids are code points."""

    widths: list[int]

    def __init__(self) -> None:
        self.widths = []

    def pad(self, arrays: Any) -> dict[str, Any]:
        ids = arrays["input_ids"]
        dense = {name: array for name, array in arrays.items() if not isinstance(array, Ragged)}
        return dense | {"input_ids": ids.padded(0, dtype=np.int64), "attention_mask": ids.mask().astype(np.int64)}

    def call(self, graph: str, **arrays: Any) -> dict[str, Any]:
        assert graph == "model"
        assert "row" not in arrays
        self.widths.append(arrays["input_ids"].shape[1])
        return {"total": arrays["input_ids"].sum(axis=1, keepdims=True).astype(np.float32)}


def encode(settings: Any, columns: Any, preprocessor: Any, facts: Any) -> Any:
    """Windows of at most `width` letters."""
    width = settings["width"]
    pieces = [
        (row, text[i : i + width])
        for row, text in enumerate(columns["text"])
        for i in range(0, max(1, len(text)), width)
    ]
    return {
        "input_ids": Ragged.from_rows([[ord(letter) for letter in piece] for _, piece in pieces]),
        "row": np.array([row for row, _ in pieces]),
    }


def decode(settings: Any, columns: Any, arrays: Any, outputs: Any, facts: Any) -> list[dict[str, Any]]:
    totals = np.bincount(arrays["row"], outputs["total"][:, 0], minlength=len(columns["text"]))
    return [{"total": int(total)} for total in totals]


def run(texts: list[str], width: int = 100, **changes: Any) -> tuple[Outcome, Letters]:
    letters = Letters()
    module: Any = SimpleNamespace(**({"encode": encode, "decode": decode} | changes))
    task = RuntimeTask(module, {"width": width})
    return predict(task, {"text": texts}, letters, {}, letters.call, batch_size=2), letters


def test_predictions_come_in_the_order_of_rows_and_batches_hold_similar_lengths() -> None:
    texts = ["aaaaaaaa", "b", "cccc", "", "ddddddddd"]
    outcome, letters = run(texts)
    assert [one["total"] for one in outcome.predictions] == [sum(map(ord, text)) for text in texts]
    assert letters.widths == [1, 4, 9]
    assert outcome.outputs["total"][:, 0].tolist() == [sum(map(ord, text)) for text in texts]


def test_windows_of_a_row_meet_in_the_decoder() -> None:
    texts = ["abcdefg", "xy", "很好吃"]
    outcome, _ = run(texts, width=3)
    assert [one["total"] for one in outcome.predictions] == [sum(map(ord, text)) for text in texts]


def test_no_rows_give_no_predictions() -> None:
    assert run([])[0].predictions == []


def test_values_per_token_come_as_ragged_in_entry_order() -> None:
    texts = ["abc", "d", "efghi"]

    def per_token(settings: Any, call: Any, arrays: Any, facts: Any) -> dict[str, Any]:
        return {"token": Ragged.from_padded(arrays["input_ids"][..., None] * [1, 2], arrays["attention_mask"])}

    def letters_of(settings: Any, columns: Any, arrays: Any, outputs: Any, facts: Any) -> list[Any]:
        return [{"text": "".join(map(chr, outputs["token"][row][:, 0]))} for row in range(len(columns["text"]))]

    outcome, _ = run(texts, predict=per_token, decode=letters_of)
    assert [one["text"] for one in outcome.predictions] == texts


def test_dense_values_whose_width_depends_on_the_batch_are_refused() -> None:
    def per_token(settings: Any, call: Any, arrays: Any, facts: Any) -> dict[str, Any]:
        return {"token": arrays["input_ids"]}

    with pytest.raises(PluginError, match="Ragged"):
        run(["abc", "d", "efghi"], predict=per_token)


def test_nan_is_refused() -> None:
    def broken(settings: Any, call: Any, arrays: Any, facts: Any) -> dict[str, Any]:
        return {"total": np.full((len(arrays["input_ids"]), 1), np.nan)}

    with pytest.raises(NonFiniteError, match="total"):
        run(["abc"], predict=broken)


def test_a_prediction_too_few_is_refused() -> None:
    with pytest.raises(PluginError, match="1 predictions for 2 rows"):
        run(["a", "b"], decode=lambda *_: [{}])


def test_blocks_cut_all_columns() -> None:
    assert list(blocks({"a": [1, 2, 3], "b": [4, 5, 6]}, rows=2)) == [{"a": [1, 2], "b": [4, 5]}, {"a": [3], "b": [6]}]
