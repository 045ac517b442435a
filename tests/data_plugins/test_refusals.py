"""Rows of JSON Lines that are no labelled texts."""

from __future__ import annotations

from typing import Any

import pytest

from hft_plugins.text_classification.task import TextClassification


@pytest.mark.parametrize(
    ("text", "label", "reason"),
    [
        ("好", "pos", None),
        ("a", 1, None),
        ("a", 0, None),
        ("a", False, None),
        (None, "pos", "empty-text"),
        ("  ", "pos", "empty-text"),
        (5, "pos", "not-a-text"),
        (0, "pos", "not-a-text"),
        (["a"], "pos", "not-a-text"),
        ([], "pos", "not-a-text"),
        ({"a": 1}, "pos", "not-a-text"),
        ("a", None, "empty-label"),
        ("a", " ", "empty-label"),
        ("a", ["pos"], "not-a-label"),
        ("a", {}, "not-a-label"),
    ],
)
def test_refusals_of_a_row(text: Any, label: Any, reason: str | None) -> None:
    task = TextClassification(type="text-classification", text="t", label="l")
    assert task.refusals({"t": [text], "l": [label]}) == [reason]
