"""Gates of predictions that are vectors; and gates that have nothing to compare."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from hft_plugins.onnx.decisions import decision_gates
from hft_plugins.onnx.structure import variant_gates
from hft_plugins.onnx.trace import trace
from hft_plugins.onnx.vectors import BOUNDS, compared
from hft_plugins.onnx.weights import weights_gate

from .conftest import Toy, graph_of


def rows(vectors: Any) -> list[dict[str, Any]]:
    return [{"vector": vector} for vector in np.asarray(vectors, float).tolist()]


VECTORS = np.random.default_rng(0).normal(size=(50, 8))


def test_length_and_a_little_noise_change_nothing() -> None:
    noise = np.random.default_rng(1).normal(size=VECTORS.shape) * 1e-7
    found = compared("fp32", rows(VECTORS), rows(3 * VECTORS + noise))
    assert found is not None
    assert found.turn < BOUNDS["fp32"].turn
    assert (found.flips, found.ties) == (0, 0)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_rows_that_have_changed_places_are_found(precision: str) -> None:
    found = compared(precision, rows(VECTORS), rows(VECTORS[[1, 0, *range(2, 50)]]))
    assert found is not None
    assert found.turn > BOUNDS[precision].turn
    assert found.flips > BOUNDS[precision].flips


def test_neighbours_that_are_equally_near_are_ties() -> None:
    plane = [[1, 0, 0], [0.8, 0.6, 0], [0.8, -0.6, 0], [0, 0, 1]]
    turned = [[1, 0, 0], [0.8, 0.6, 0], [0.80001, -0.6, 0], [0, 0, 1]]
    found = compared("fp32", rows(plane), rows(turned))
    assert found is not None
    assert (found.flips, found.ties) == (0, 1)


def test_predictions_without_vectors_have_no_such_gates(toy: Toy) -> None:
    columns = {"text": ["good1", "bad2"], "label": ["good", "bad"]}
    labelled = [{"label": "good", "score": 0.9, "scores": {"bad": 0.1, "good": 0.9}}] * 2
    names = [gate.name for gate in decision_gates(toy.run, columns, "fp32", labelled, labelled)]
    assert not [name for name in names if name.startswith(("vectors", "neighbours"))]
    assert compared("fp32", labelled, labelled) is None


def test_a_file_in_which_no_weight_is_the_models_is_refused(toy: Toy, tmp_path: Path) -> None:
    graph, file = graph_of(toy.net.eval()), tmp_path / "model.onnx"
    trace(graph, file, 20)
    assert weights_gate(graph, file).passed
    model = onnx.load(str(file))
    for index, tensor in enumerate(model.graph.initializer):
        array = onnx.numpy_helper.to_array(tensor)
        tensor.CopyFrom(
            onnx.numpy_helper.from_array(array + 1 if array.dtype == np.float32 else array, f"other.{index}")
        )
    onnx.save_model(model, str(file))
    gate = weights_gate(graph, file)
    assert not gate.passed
    assert gate.measured == "none of the file's tensors is a parameter of the model"


def test_int8_without_a_matrix_in_8_bits_is_refused(toy: Toy, tmp_path: Path) -> None:
    graph, file = graph_of(toy.net.eval()), tmp_path / "model.onnx"
    trace(graph, file, 20)
    gates = {gate.name: gate for gate in variant_gates(graph, file, file, "int8")}
    assert not gates["per channel: int8"].passed
    assert gates["per channel: int8"].measured == "none of 2 matrices is in 8 bits"


def test_a_graph_without_a_matrix_says_so(toy: Toy, tmp_path: Path) -> None:
    def table(net: Any, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        mask = attention_mask[..., None].float()
        return (net.vectors(input_ids)[..., :2] * mask).sum(1)  # type: ignore[no-any-return]

    graph, file = graph_of(toy.net.eval(), table), tmp_path / "model.onnx"
    trace(graph, file, 20)
    gates = {gate.name: gate for gate in variant_gates(graph, file, file, "int8")}
    assert gates["per channel: int8"].passed
    assert gates["per channel: int8"].measured == "there is no matrix to have one"
