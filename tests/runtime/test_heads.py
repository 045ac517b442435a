"""Several tasks on one graph: each has its own answer, and what they read alike is computed once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hft_core.runtime.heads import Head, of_head, predict_all


@dataclass
class Lengths:
    """A task that reads the length of a text, times `factor`."""

    column: str
    factor: int = 1

    def encode(self, columns: Any, preprocessor: Any, facts: Any) -> Any:
        return {"x": np.array([self.factor * len(text) for text in columns[self.column]], np.float32)}

    def predict(self, call: Any, arrays: Any, facts: Any) -> Any:
        return call("model", **arrays)

    def postprocess(self, arrays: Any, outputs: Any, preprocessor: Any, facts: Any) -> Any:
        return outputs

    def decode(self, columns: Any, arrays: Any, outputs: Any, facts: Any) -> Any:
        return [{"found": value, "unit": facts["unit"], "text": text} for value, text in zip(
            outputs["y"].tolist(), columns[self.column], strict=True
        )]  # fmt: skip


class Padding:
    def pad(self, arrays: Mapping[str, Any]) -> Any:
        return dict(arrays)


def test_a_graph_runs_once_for_tasks_that_read_alike() -> None:
    calls: list[Any] = []

    def call(graph: str, /, x: Any) -> Any:
        calls.append(x.tolist())
        return {"one.y": x + 1, "two.y": x + 2, "three.y": x + 3}

    heads = {
        "one": Head(Lengths("text"), {"unit": "a"}, ["text"]),
        "two": Head(Lengths("satz"), {"unit": "b"}, ["satz"]),
        "three": Head(Lengths("text", factor=10), {"unit": "c"}, ["text"]),
    }
    found = predict_all(heads, {"text": ["xx", "很好吃"], "more": [0, 0]}, ["text"], Padding(), call)
    assert calls == [[2, 3], [20, 30]], "once for the first two, once for what the third reads"
    assert found[1] == {
        "one": {"found": 4, "unit": "a", "text": "很好吃"},
        "two": {"found": 5, "unit": "b", "text": "很好吃"},
        "three": {"found": 33, "unit": "c", "text": "很好吃"},
    }


def test_a_head_sees_its_own_outputs_only() -> None:
    own = of_head(lambda graph, **arrays: {"a.y": 1, "ab.y": 2, "a.b.z": 3}, "a")
    assert own("model") == {"y": 1, "b.z": 3}
