"""The graph with a cache: positions, shapes, gates, 8 bits."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hft_core.runtime.session import OnnxCall
from hft_core.training.inference import torch_call
from hft_plugins.onnx.numbers import _cases, numbers_gates
from hft_plugins.onnx.quantize import quantize
from hft_plugins.onnx.structure import structure_gates
from hft_plugins.onnx.trace import trace
from hft_plugins.transformers.models import Gpt

from .conftest import Decoder, random_net


def gates(decoder: Decoder, call: OnnxCall) -> dict[str, bool]:
    reference = torch_call(decoder.net, "main")
    vocabulary = decoder.preprocessor.vocabulary
    made = numbers_gates(decoder.graph, partial(reference, "model"), partial(call, "model"), vocabulary, 40)
    return {gate.name: gate.passed for gate in made}


def test_it_passes_its_gates(decoder: Decoder) -> None:
    assert gates(decoder, decoder.onnx) == {"numbers: logits": True, "numbers: cache": True}
    assert [gate.name for gate in structure_gates(decoder.graph, decoder.file, 20) if not gate.passed] == []


def test_cases_have_caches_of_several_lengths(decoder: Decoder) -> None:
    vocabulary = decoder.preprocessor.vocabulary
    cases = [inputs for _, inputs in _cases(decoder.graph, vocabulary, 40)]
    sizes = {
        (case["past_key_values.0.key"].shape[2], *case["input_ids"].shape, case["attention_mask"].shape[1])
        for case in cases
    }
    assert all(past + new == total <= 40 for past, _, new, total in sizes)
    assert {past for past, *_ in sizes} == {0, 1, 7}
    assert {(past, rows, new) for past, rows, new, _ in sizes} >= {(0, 1, 1), (1, 1, 1), (7, 1, 1)}
    assert max(total for *_, total in sizes) == 40


def test_a_graph_that_counts_padding_is_refused(decoder: Decoder, tmp_path: Path) -> None:
    family = decoder.library.config.model_type
    net = random_net(family, decoder.preprocessor.vocabulary, decoder.preprocessor.special["eos"])
    net._counts_positions = False
    [graph] = Gpt(type="gpt", source="anything").graphs(net, "main")
    trace(graph, tmp_path / "model.onnx", 20)
    assert not gates(decoder, OnnxCall({"model": tmp_path / "model.onnx"}))["numbers: logits"]


def test_8_bits_run_with_and_without_a_past(decoder: Decoder, tmp_path: Path) -> None:
    quantize(decoder.file, tmp_path / "int8.onnx")
    call = OnnxCall({"model": tmp_path / "int8.onnx"})
    first = call("model", input_ids=np.array([[5, 6]]), attention_mask=np.ones((1, 2), np.int64))
    second = call("model", cache=first["cache"], input_ids=np.array([[7]]), attention_mask=np.ones((1, 3), np.int64))
    assert second["logits"].shape == (1, 1, decoder.preprocessor.vocabulary)
    assert np.isfinite(second["logits"]).all()


@pytest.mark.parametrize("backend", ["onnx", "torch"])
def test_a_cache_is_one_thing_that_gives_rows(decoder: Decoder, backend: str) -> None:
    call: Any = {"onnx": decoder.onnx, "torch": torch_call(decoder.net, "main")}[backend]
    ids, mask = np.array([[5, 6, 7], [8, 9, 10]]), np.ones((2, 3), np.int64)
    first = call("model", input_ids=ids, attention_mask=mask)
    assert set(first) == {"logits", "cache"}
    both = call("model", cache=first["cache"], input_ids=ids[:, :1], attention_mask=np.ones((2, 4), np.int64))
    taken = first["cache"].take(np.array([1, 1, 0]))
    some = call("model", cache=taken, input_ids=ids[[1, 1, 0], :1], attention_mask=np.ones((3, 4), np.int64))
    assert np.allclose(some["logits"], both["logits"][[1, 1, 0]], atol=1e-5)
    again = call("model", cache=None, input_ids=np.c_[ids, ids[:, :1]], attention_mask=np.ones((2, 4), np.int64))
    assert np.allclose(again["logits"][:, -1:], both["logits"], atol=1e-4)


def test_training_sees_the_same_positions_under_any_padding(decoder: Decoder) -> None:
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        alone = decoder.net("main", input_ids=ids, attention_mask=torch.ones_like(ids))["logits"][0]
        for places in ([0, 1, 2, 3], [3, 4, 5, 6], [0, 2, 3, 6]):  # right, left, holes
            wide, mask = torch.zeros(1, 7, dtype=torch.long), torch.zeros(1, 7, dtype=torch.long)
            wide[0, places], mask[0, places] = ids[0], 1
            found = decoder.net("main", input_ids=wide, attention_mask=mask)["logits"][0, places]
            assert torch.allclose(found, alone, atol=1e-4)
