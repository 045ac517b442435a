"""Precisions beside fp32: what is written, what is refused, what int8 keeps, and what drift may be allowed."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from hft_core import DamagedError, PluginError
from hft_core.runtime import load
from hft_plugins.onnx import variants
from hft_plugins.onnx.decisions import decision_gates
from hft_plugins.onnx.exporter import Onnx
from hft_plugins.onnx.files import save
from hft_plugins.onnx.quantize import NARROW, SQUARE, TABLES, groups, quantize
from hft_plugins.onnx.structure import variant_gates
from hft_plugins.onnx.trace import trace
from hft_plugins.onnx.ways import as_json
from hft_plugins.text_classification.task import TextClassification

from .conftest import Toy, ToyNet, graph_of


@pytest.fixture
def coarse(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """An int8 that decides otherwise unless the table stays in fp32; gives how many nodes each try keeps."""
    tried: list[int] = []

    def rounded(source: Path, target: Path, kept: Collection[str]) -> None:
        tried.append(len(kept))
        model = onnx.load(str(source))
        tables = {node.input[0] for node in model.graph.node if node.op_type == "Gather" and node.name not in kept}
        for tensor in model.graph.initializer:
            if tensor.name in tables and tensor.dims[-1] == 32:
                values = numpy_helper.to_array(tensor)
                tensor.CopyFrom(numpy_helper.from_array(-values, tensor.name))
        save(model, target)

    monkeypatch.setattr(variants, "quantize", rounded)
    monkeypatch.setattr(variants, "variant_gates", lambda *_: [])  # it is no int8 at all
    return tried


def test_every_precision_answers_from_one_bundle(toy: Toy, tmp_path: Path) -> None:
    names = ["fp32", "fp16", "int8", "w8", "w4"]
    section = Onnx(type="onnx", precisions=names).export(toy.net, toy.run, tmp_path, toy.log.append)  # type: ignore[arg-type]
    assert section.data["precisions"] == names
    gates = {row["gate"]: row for row in section.table}
    for precision in names[1:]:
        assert {f"interface: {precision}", f"size: {precision}", f"accuracy: {precision}"} <= gates.keys()
        predictions = load(tmp_path, precision=precision).predict(toy.run.validation["text"])
        hits = [one["label"] == label for one, label in zip(predictions, toy.run.validation["label"], strict=True)]
        assert sum(hits) / len(hits) > 0.95
    assert gates["decisions: fp16"]["bound"] == "≤ 0.1% of 120 rows flip"
    assert gates["numbers: logits: fp16"]["bound"].startswith("≤ 0.01 × scale")
    assert gates["numbers: logits: int8"]["bound"].startswith("finite in")
    files = {file.name for file in (tmp_path / "onnx").glob("*.onnx")}
    assert files == {"model.onnx", "model_fp16.onnx", "model_quantized.onnx", "model_w8.onnx", "model_q4.onnx"}
    halves = onnx.load(str(tmp_path / "onnx" / "model_fp16.onnx"))
    kinds = [tensor.data_type for tensor in halves.graph.initializer if len(tensor.dims) == 2]
    assert set(kinds) == {onnx.TensorProto.FLOAT16}
    packed = onnx.load(str(tmp_path / "onnx" / "model_q4.onnx"))
    assert [node.attribute for node in packed.graph.node if node.op_type == "MatMulNBits"]


def test_int8_keeps_what_it_has_to_in_fp32(coarse: list[int], toy: Toy, tmp_path: Path) -> None:
    section = Onnx(type="onnx", precisions=["fp32", "int8"]).export(toy.net, toy.run, tmp_path, toy.log.append)
    assert section.refused == []
    assert section.data["kept"] == {"int8": [NARROW, TABLES]}
    assert coarse == [0, 1, 2, 2]  # all, the head, the head and the inner layer, the head and the table
    assert "int8 with matrices that narrow" in section.text.lower()
    assert json.loads((tmp_path / "parity.json").read_text("utf-8"))["kept_in_fp32"] == {"int8": [NARROW, TABLES]}
    assert "tables (embeddings) in fp32" in (tmp_path / "README.md").read_text("utf-8")
    assert {row["verdict"] for row in section.table} == {"passed"}
    assert load(tmp_path, precision="int8").verify()["rows"] == 12


def test_what_the_search_tried_stands_in_the_refusal(
    coarse: list[int], toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(variants, "SEARCH", ((NARROW,), (NARROW, SQUARE)))
    section = Onnx(type="onnx", precisions=["fp32", "int8"]).export(toy.net, toy.run, tmp_path, toy.log.append)
    (sentence,) = section.refused
    assert "nor does it keep to its gates with matrices that narrow" in sentence
    assert sentence.count("flips") == 3
    assert "inf" not in sentence
    assert not list((tmp_path / "onnx").glob("*quantized*"))


@pytest.mark.usefixtures("coarse")
def test_allowed_drift_is_written_and_recorded(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(variants, "SEARCH", ())
    exporter = Onnx(type="onnx", precisions=["fp32", "int8"], allow_drift=True)
    section = exporter.export(toy.net, toy.run, tmp_path, toy.log.append)
    assert section.refused == []
    assert section.data["precisions"] == ["fp32", "int8"]
    described = json.loads((tmp_path / "bundle.json").read_text("utf-8"))
    missed = described["allowed_drift"]["int8"]
    assert missed[0]["gate"] == "decisions: int8"
    assert {row["verdict"] for row in missed} == {"allowed"}
    verdicts = {
        row["gate"]: row["verdict"] for row in json.loads((tmp_path / "parity.json").read_text("utf-8"))["gates"]
    }
    assert verdicts["decisions: int8"] == "allowed"
    assert verdicts["numbers: logits: int8"] == "passed"  # what is no drift is held to all the same
    assert verdicts["decisions: fp32"] == "passed"
    assert "int8 drifts further than its gates allow" in (tmp_path / "README.md").read_text("utf-8")


def test_drift_is_the_only_thing_that_may_be_allowed(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(source: Path, target: Path, kept: Collection[str]) -> None:
        quantize(source, target, kept)
        model = onnx.load(str(target))
        scale = next(t for t in model.graph.initializer if t.data_type == 1 and tuple(t.dims) == (2,))
        scale.CopyFrom(numpy_helper.from_array(np.full(2, np.nan, np.float32), scale.name))
        save(model, target)

    monkeypatch.setattr(variants, "quantize", broken)
    exporter = Onnx(type="onnx", precisions=["int8"], allow_drift=True)
    with pytest.raises(DamagedError, match="gate finite: int8") as refused:
        exporter.export(toy.net, toy.run, tmp_path, toy.log.append)
    assert "take int8 out" in str(refused.value)
    assert "--allow-drift" not in str(refused.value)  # it would not help


def test_a_precision_that_cannot_run_is_left_out_and_the_others_are_written(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(source: Path, target: Path, kept: Collection[str]) -> None:
        quantize(source, target, kept)
        model = onnx.load(str(target))
        model.opset_import[0].version = 99
        save(model, target)

    monkeypatch.setattr(variants, "quantize", unknown)
    monkeypatch.setattr(variants, "variant_gates", lambda *_: [])
    section = Onnx(type="onnx", precisions=["fp32", "int8"]).export(toy.net, toy.run, tmp_path, toy.log.append)
    (refused,) = section.refused
    assert "gate runs: int8" in refused
    assert "cannot be opened" in refused
    assert load(tmp_path).predict(toy.run.validation["text"][:2])


def test_a_precision_that_is_none_is_too_large(tmp_path: Path) -> None:
    graph, file = graph_of(ToyNet(20_000, 2)), tmp_path / "model.onnx"
    trace(graph, file, 20)
    for precision, also in (("fp16", []), ("int8", ["per channel: int8"])):
        missed = [gate.name for gate in variant_gates(graph, file, file, precision) if not gate.passed]
        assert missed == [f"size: {precision}", *also]
    kept = {node for members in groups(file).values() for node in members}
    assert all(gate.passed for gate in variant_gates(graph, file, file, "int8", kept))


def test_drift_is_told_of_rows_that_decide_alike(toy: Toy) -> None:
    """Lists of entities of different lengths have no difference that could be told."""
    run = dataclasses.replace(toy.run, metrics=[])
    one, two = {"start": 0, "end": 4, "type": "x", "score": 0.9}, {"start": 5, "end": 9, "type": "x", "score": 0.6}
    reference = [{"entities": [one]}, {"entities": [two]}]
    found = [{"entities": [one, two]}, {"entities": [two | {"score": 0.5}]}]
    (gate,) = decision_gates(run, {"text": ["", ""], "label": ["good", "bad"]}, "int8", reference, found)
    assert gate.measured == "1 flips (50.00%); largest drift of a number 1.0e-01"
    assert not gate.passed


@pytest.mark.parametrize(("precision", "worse", "passed"), [
    ("int8", 0.009, True), ("int8", 0.02, False), ("w4", 0.04, True), ("w4", 0.06, False), ("fp16", 0.002, False),
])  # fmt: skip
def test_what_is_written_freely_is_judged_by_perplexity(
    toy: Toy, monkeypatch: pytest.MonkeyPatch, precision: str, worse: float, passed: bool
) -> None:
    from hft_plugins.metrics.language import Perplexity

    run = dataclasses.replace(toy.run, metrics=[Perplexity(type="perplexity")])
    monkeypatch.setattr(TextClassification, "autoregressive", True)
    columns = {"text": ["a"] * 3, "label": ["good"] * 3}
    reference = [{"text": f"{row}", "nll": 30.0, "tokens": 10, "margin": 1.0} for row in range(3)]
    found = [one | {"text": "other", "nll": 30.0 + 10 * math.log1p(worse)} for one in reference]
    gates = {gate.name: gate for gate in decision_gates(run, columns, precision, reference, found)}
    assert gates[f"decisions: {precision}"].passed
    assert gates[f"decisions: {precision}"].measured.startswith("3 flips")
    assert gates[f"perplexity: {precision}"].passed == passed
    assert not decision_gates(run, columns, "fp32", reference, found)[0].passed


@pytest.mark.parametrize(
    ("facts", "place"),
    [
        ({"threshold": float("nan")}, r"facts: threshold \(nan\)"),
        ({"labels": [np.float32(1)]}, r"facts: labels: 0"),
        ({"map": {3: "x"}}, "facts: map has the key 3"),
    ],
)
def test_what_json_cannot_hold_is_refused(facts: Any, place: str) -> None:
    with pytest.raises(PluginError, match=f"bundle.json: task: {place}.* cannot be represented"):
        as_json({"task": {"facts": facts}})
    assert as_json({"task": {"facts": {"threshold": 0.5, "labels": ("a", "b")}}})["task"]["facts"]["labels"] == [
        "a",
        "b",
    ]
