from __future__ import annotations

import dataclasses
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hft_plugins.onnx.speed import speeds, told
from hft_plugins.onnx.trace import trace

from .conftest import Toy, graph_of


def test_a_graph_beside_a_slow_reference(toy: Toy, tmp_path: Path) -> None:
    graph = dataclasses.replace(graph_of(toy.net), maximum={"sequence": 48})
    file = tmp_path / "model.onnx"
    trace(graph, file, 20)
    seen: list[tuple[int, ...]] = []

    def slow(**arrays: NDArray[Any]) -> None:
        assert torch.get_num_threads() == 1
        assert set(arrays) == {"input_ids", "attention_mask"}
        assert np.all(arrays["attention_mask"] == 1)
        seen.append(arrays["input_ids"].shape)
        end = time.process_time() + 0.03
        while time.process_time() < end:
            pass

    threads = torch.get_num_threads()
    records = speeds(graph, slow, {"fp32": file, "int8": file})
    assert torch.get_num_threads() == threads
    assert [(one["precision"], one["rows"], one["tokens"]) for one in records] == [
        ("fp32", 1, 32), ("int8", 1, 32), ("fp32", 32, 48), ("int8", 32, 48),
    ]  # fmt: skip
    assert set(seen) == {(1, 32), (32, 48)}
    assert 2 * (1 + 3) <= len(seen) <= 2 * (1 + 6)  # one to warm up; 0.03 s go into 0.2 s six times at most
    for one in records:
        assert one["torch_ms"] >= 30
        assert one["ratio"] > 1
    sentences = told(records)
    assert [sentence.split(" against")[0] for sentence in sentences] == ["Speed of fp32", "Speed of int8"]
    assert f"{records[1]['ratio']:.1f} × at 1 × 32" in sentences[1]


def test_a_graph_with_a_cache_is_not_timed(toy: Toy) -> None:
    graph = graph_of(toy.net)
    cached = dataclasses.replace(graph, inputs={**graph.inputs, "past_key_values.0": ("batch", 2, "past", 8)})
    assert speeds(cached, partial(pytest.fail, "was called"), {}) == []
