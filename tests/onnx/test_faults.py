"""Each fault is seeded, seen to be there, and caught by the gate that is there for it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from hft_core import DamagedError, Graph, HftError, NonFiniteError, PluginError
from hft_core.runtime import load
from hft_plugins.onnx import export as export_module
from hft_plugins.onnx import variants
from hft_plugins.onnx.exporter import Onnx
from hft_plugins.onnx.files import data_file, save
from hft_plugins.onnx.structure import structure_gates
from hft_plugins.onnx.trace import trace

from .conftest import Toy, ToyModel, ToyNet, graph_of


def refused(toy: Toy, folder: Path, error: type[HftError], match: str, **settings: Any) -> None:
    with pytest.raises(error, match=match):
        Onnx(type="onnx", **settings).export(toy.net, toy.run, folder, toy.log.append)
    assert not (folder / "bundle.json").exists()
    assert not (folder / "MANIFEST.sha256").exists()


def with_view(monkeypatch: pytest.MonkeyPatch, logits: Callable[..., torch.Tensor]) -> None:
    """Let the model give a faulty view."""
    monkeypatch.setattr(ToyModel, "graphs", lambda self, net, head: [graph_of(net, logits)])


def after_trace(monkeypatch: pytest.MonkeyPatch, damage: Callable[[onnx.ModelProto], None]) -> None:
    """Damage the traced file."""

    def faulty(graph: Graph, file: Path, opset: int) -> None:
        trace(graph, file, opset)
        model = onnx.load(str(file))
        damage(model)
        onnx.save_model(model, str(file), save_as_external_data=True, location=f"{file.name}_data", size_threshold=256)

    monkeypatch.setattr(export_module, "trace", faulty)


def initializer(model: onnx.ModelProto, shape: tuple[int, ...]) -> onnx.TensorProto:
    (found,) = (tensor for tensor in model.graph.initializer if tuple(tensor.dims) == shape)
    return found


def test_a_perturbed_weight(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def damage(model: onnx.ModelProto) -> None:
        tensor = initializer(model, tuple(toy.net.vectors.weight.shape))
        values = numpy_helper.to_array(tensor).copy()
        values[7, 3] += 1e-6  # one of 1,200 numbers
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))

    after_trace(monkeypatch, damage)
    refused(toy, tmp_path, DamagedError, "gate weights: .*differs in 1 of")


def test_a_mask_that_was_lost(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_view(monkeypatch, lambda net, ids, mask: net.logits(ids, torch.ones_like(ids)))
    refused(toy, tmp_path, DamagedError, "gate inputs used: unused: attention_mask")


def test_a_mask_that_is_read_but_does_nothing(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_view(monkeypatch, lambda net, ids, mask: net.logits(ids, mask.clamp(1, 1)))
    refused(toy, tmp_path, DamagedError, "gate numbers: logits.*padding")


def test_a_mask_that_only_fits_padding_on_the_right(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def right_only(net: ToyNet, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return net.logits(ids, mask.sort(dim=1, descending=True).values)

    with_view(monkeypatch, right_only)
    refused(toy, tmp_path, DamagedError, "gate numbers: logits.*(left|hole) padding")


def test_dropout_of_train_mode(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def noisy(net: ToyNet, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.dropout(net.logits(ids, mask), 0.5, training=True)

    with_view(monkeypatch, noisy)
    refused(toy, tmp_path, DamagedError, "gate no training nodes")


def test_a_static_axis(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_view(monkeypatch, lambda net, ids, mask: net.logits(ids.reshape(2, 8), mask))
    refused(toy, tmp_path, PluginError, "cannot trace the graph 'model'")


def test_an_axis_that_became_static_in_the_file(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def damage(model: onnx.ModelProto) -> None:
        model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 8

    after_trace(monkeypatch, damage)
    refused(toy, tmp_path, DamagedError, r"gate inputs: input_ids \[batch, 8\]")


def test_weights_that_are_there_twice(toy: Toy, tmp_path: Path) -> None:
    net = ToyNet(20_000, 2)
    graph, file = graph_of(net), tmp_path / "model.onnx"
    trace(graph, file, 20)
    assert all(gate.passed for gate in structure_gates(graph, file, 20))
    with file.with_name("model.onnx_data").open("ab") as stream:
        stream.write(bytes(net.vectors.weight.numel() * 4))
    assert [gate.name for gate in structure_gates(graph, file, 20) if not gate.passed] == ["size"]


def test_weights_that_are_not_numbers(toy: Toy, tmp_path: Path) -> None:
    with torch.no_grad():
        toy.net.outer.bias[0] = float("nan")
    refused(toy, tmp_path, (DamagedError, NonFiniteError), "nan|not a number")  # type: ignore[arg-type]  # a tuple of them


@pytest.fixture
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """An int8 that decides otherwise."""

    def rounded(source: Path, target: Path, kept: Collection[str]) -> None:
        model = onnx.load(str(source))
        for tensor in model.graph.initializer:
            values = numpy_helper.to_array(tensor)
            if values.dtype == np.float32 and values.ndim == 2:
                tensor.CopyFrom(numpy_helper.from_array(np.round(values / 2) * 2, tensor.name))
        coarser = target.with_name("coarser.onnx")
        save(model, coarser)
        right(coarser, target, kept)
        for file in (coarser, data_file(coarser)):
            file.unlink(missing_ok=True)

    right = variants.quantize
    monkeypatch.setattr(variants, "quantize", rounded)


@pytest.mark.usefixtures("coarse")
def test_an_int8_that_decides_otherwise_is_left_out(toy: Toy, tmp_path: Path) -> None:
    section = Onnx(type="onnx", precisions=["int8", "fp32"]).export(toy.net, toy.run, tmp_path, toy.log.append)
    (sentence,) = section.refused
    assert re.match("int8 was not written: gate decisions: int8: .* flips .*required is ≤ 2%.*take int8 out", sentence)
    assert sentence in section.text
    assert section.data["precisions"] == ["fp32"]
    verdicts = {row["gate"]: row["verdict"] for row in section.table}
    assert verdicts["decisions: int8"] == "refused"
    assert verdicts["decisions: fp32"] == verdicts["fresh process without torch"] == "passed"
    assert json.loads((tmp_path / "parity.json").read_text("utf-8"))["gates"] == list(section.table)
    assert [file.name for file in (tmp_path / "onnx").iterdir() if "quantized" in file.name] == []
    bundle = load(tmp_path)
    assert (bundle.precision, bundle.precisions) == ("fp32", ["fp32"])
    assert bundle.verify()["rows"] == 12


@pytest.mark.usefixtures("coarse")
def test_where_int8_alone_is_asked_for_nothing_is_left(toy: Toy, tmp_path: Path) -> None:
    refused(toy, tmp_path, DamagedError, "gate decisions: int8.*take int8 out", precisions=["int8"])


def test_an_int8_that_is_not_finite_is_left_out(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(source: Path, target: Path, kept: Collection[str]) -> None:
        model = onnx.load(str(source))
        tensor = initializer(model, tuple(toy.net.outer.bias.shape))
        tensor.CopyFrom(numpy_helper.from_array(np.full(tensor.dims, np.nan, np.float32), tensor.name))
        save(model, target)

    monkeypatch.setattr(variants, "quantize", broken)
    section = Onnx(type="onnx", precisions=["fp32", "int8"]).export(toy.net, toy.run, tmp_path, toy.log.append)
    assert len(section.refused) == 1
    assert load(tmp_path).precisions == ["fp32"]


def test_a_tokenizer_that_is_not_the_one_that_was_compared(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def altered(folder: Path) -> None:
        text = toy.run.preprocessor.tokenizer.to_str()  # type: ignore[attr-defined]  # it is a TextPreprocessor
        swapped = text.replace('"good', '"other').replace('"bad', '"good').replace('"other', '"bad')
        assert swapped != text
        (folder / "tokenizer.json").write_text(swapped, encoding="utf-8")

    monkeypatch.setattr(toy.run.preprocessor, "save", altered)
    with pytest.raises(DamagedError, match="gate tokenizer: validation rows: input_ids of entry 0"):
        Onnx(type="onnx").export(toy.net, toy.run, tmp_path, toy.log.append)


def test_a_runtime_that_needs_torch(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decoder that imports torch works here, and only in the fresh process does it fail."""
    (tmp_path / "torchy.py").write_text("import torch\nfrom hft_plugins.text_classification.runtime import *\n")
    info = tmp_path / "hft_torchy-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hft-torchy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[hft]\ntorchy = torchy\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(type(toy.run.task), "runtime", "torchy")
    folder = tmp_path / "bundle"
    folder.mkdir()
    with pytest.raises(DamagedError, match=r"gate fresh process without torch: .*torchy.*torch"):
        Onnx(type="onnx").export(toy.net, toy.run, folder, toy.log.append)
