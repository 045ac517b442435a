from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from pydantic import ValidationError

from hft_core import DataError, Finished, PluginError
from hft_core.runtime import load
from hft_core.training.inference import torch_call
from hft_plugins.metrics.classification import Accuracy
from hft_plugins.onnx.card import model_card
from hft_plugins.onnx.decisions import sampled
from hft_plugins.onnx.describe import requirements
from hft_plugins.onnx.exporter import Onnx
from hft_plugins.onnx.golden import chosen
from hft_plugins.onnx.numbers import _cases
from hft_plugins.text_classification import runtime
from hft_plugins.text_classification.task import TextClassification

from .conftest import Toy, graph_of


def test_a_bundle_of_two_precisions(toy: Toy, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "bundle"
    folder.mkdir()
    section = Onnx(type="onnx", precisions=["int8", "fp32"]).export(toy.net, toy.run, folder, toy.log.append)
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")  # torch.onnx's chatter does not reach the user
    assert toy.log

    names = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    assert {
        "MANIFEST.sha256", "README.md", "bundle.json", "golden.jsonl", "onnx/model.onnx", "onnx/model_quantized.onnx",
        "parity.json", "predict.py", "tokenizer.json",
    } <= names  # fmt: skip
    assert section.data["precisions"] == ["int8", "fp32"]
    assert {row["verdict"] for row in section.table} == {"passed"}
    assert {"inputs", "numbers: logits", "decisions: fp32", "accuracy: int8", "fresh process without torch"} <= {
        row["gate"] for row in section.table
    }
    parity = json.loads((folder / "parity.json").read_text(encoding="utf-8"))
    assert parity["gates"] == list(section.table)

    bundle = load(folder)
    assert bundle.precision == "int8"  # the first of the recipe's list
    assert bundle.verify()["rows"] == 12
    for precision in ("fp32", "int8"):
        predictions = load(folder, precision=precision).predict(toy.run.validation["text"])
        hits = [one["label"] == label for one, label in zip(predictions, toy.run.validation["label"], strict=True)]
        assert sum(hits) / len(hits) > 0.95
    # No path of this machine, no stack trace.
    text = (folder / "onnx" / "model.onnx").read_bytes()
    assert b".py" not in text
    assert str(tmp_path) not in (folder / "bundle.json").read_text(encoding="utf-8")


def test_only_int8_leaves_no_fp32_behind(toy: Toy, tmp_path: Path) -> None:
    Onnx(type="onnx", precisions=["int8"]).export(toy.net, toy.run, tmp_path, toy.log.append)
    assert sorted(file.name for file in (tmp_path / "onnx").iterdir() if "quantized" not in file.name) == []
    assert load(tmp_path).precisions == ["int8"]


def test_opset_and_axes_are_as_asked(toy: Toy, tmp_path: Path) -> None:
    Onnx(type="onnx", opset=18).export(toy.net, toy.run, tmp_path, toy.log.append)
    model = onnx.load(str(tmp_path / "onnx" / "model.onnx"))
    assert {entry.domain: entry.version for entry in model.opset_import}[""] == 18


def test_the_short_script_answers_like_the_bundle(toy: Toy, tmp_path: Path) -> None:
    Onnx(type="onnx").export(toy.net, toy.run, tmp_path, toy.log.append)
    texts = ["good1 good2", "差 bad3", ""]
    program = (
        "import sys; sys.modules['hft_core'] = None; import runpy; runpy.run_path(sys.argv.pop(1), run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "predict.py"), *texts], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.decode("utf-8").splitlines()]
    expected = load(tmp_path).predict(texts)
    assert [one["label"] for one in answers] == [one["label"] for one in expected]
    assert [one["score"] for one in answers] == pytest.approx([one["score"] for one in expected], abs=1e-5)
    assert b"leaves out the bundle's cleaners (unicode)" in done.stderr
    assert len((tmp_path / "predict.py").read_text(encoding="utf-8").splitlines()) <= 60


def test_a_temperature_travels_with_the_bundle(toy: Toy, tmp_path: Path) -> None:
    """Run, bundle and script divide logits by it: other scores, the same labels; every gate compares at it."""
    from hft_core.runtime.driver import predict

    facts = toy.run.facts | {"temperature": 2.5}
    run = Finished(**(vars(toy.run) | {"facts": facts}))
    Onnx(type="onnx").export(toy.net, run, tmp_path, toy.log.append)
    rows = {"text": ["good1 good2", "bad3 bad1"], "label": ["", ""]}
    wanted = predict(run.task, rows, run.preprocessor, facts, run.call).predictions
    plain = predict(run.task, rows, run.preprocessor, toy.run.facts, run.call).predictions
    found = load(tmp_path).predict(rows["text"])
    assert [one["label"] for one in found] == [one["label"] for one in plain]
    for own, hot, cold in zip(found, wanted, plain, strict=True):
        assert own["score"] == pytest.approx(hot["score"], abs=1e-5)
        assert own["score"] < cold["score"] - 1e-3, "a temperature above 1 makes less sure"
        first, second = sorted(cold["scores"].values(), reverse=True)[:2]
        softened = [value ** (1 / 2.5) for value in cold["scores"].values()]
        assert own["score"] == pytest.approx(first ** (1 / 2.5) / sum(softened), abs=1e-5)
        assert second < first
    done = subprocess.run(
        [sys.executable, str(tmp_path / "predict.py"), *rows["text"]], capture_output=True, check=True
    )
    answers = [json.loads(line) for line in done.stdout.decode("utf-8").splitlines()]
    assert [one["score"] for one in answers] == pytest.approx([one["score"] for one in found], abs=1e-5)


def test_without_validation_rows_nothing_is_exported(toy: Toy, tmp_path: Path) -> None:
    run = Finished(**(vars(toy.run) | {"validation": {"text": [], "label": []}}))
    with pytest.raises(DataError, match="no validation row"):
        Onnx(type="onnx").export(toy.net, run, tmp_path, toy.log.append)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["bert", "gpt"])
def test_models_of_transformers(family: str, tmp_path: Path) -> None:
    import torch

    from hft_plugins.transformers.models import Bert, Gpt

    columns = {"text": ["很好吃，下次还来", "太难吃了", "good food", "bad food", "😀", "味道一般 " * 60] * 4}
    columns["label"] = ["好", "坏", "好", "坏", "好", "坏"] * 4
    source = {"scratch": "tiny", "tokenizer": {"type": {"bert": "wordpiece", "gpt": "bpe"}[family], "size": 400}}
    model = {"bert": Bert, "gpt": Gpt}[family](type=family, source=source)
    task = TextClassification(type="text-classification", text="text", label="label")
    facts = task.learn([columns])
    preprocessor = model.preprocessor(None, columns["text"])
    torch.manual_seed(0)
    net = model.build(None, preprocessor, {"main": task.head(facts)})
    run = Finished(
        name="tiny", head="main", task=task, facts=facts, model=model, preprocessor=preprocessor, cleaners=[],
        validation=columns, metrics=[Accuracy(type="accuracy")], folder=tmp_path, call=torch_call(net, "main"),
    )  # fmt: skip
    folder = tmp_path / "bundle"
    folder.mkdir()
    Onnx(type="onnx").export(net, run, folder, lambda _: None)
    empty, again = load(folder).predict(["", "好 " * 1000])[0], load(folder).predict([""])[0]
    assert empty["label"] == again["label"]
    assert empty["score"] == pytest.approx(again["score"], abs=1e-4)  # not a matter of its batch


@pytest.mark.parametrize(
    ("longest", "maximum", "largest"), [(700, 1000, 700), (None, 700, 700), (64, 1000, 64), (700, 64, 64)]
)
def test_shapes_reach_from_one_token_to_the_longest_input(
    toy: Toy, longest: int | None, maximum: int, largest: int
) -> None:
    graph = dataclasses.replace(graph_of(toy.net), maximum={"sequence": maximum})
    shapes = {inputs["input_ids"].shape for _, inputs in _cases(graph, vocabulary=30, longest=longest)}
    assert (1, 1) in shapes
    assert (1, largest) in shapes
    assert max(length for _, length in shapes) == largest


def test_the_card_shows_headlines_as_a_table(toy: Toy) -> None:
    figures = {"accuracy": 0.98765, "f1": 0.5, "f1[good]": 0.25, "confusion[good→bad]": 3.0}
    run = dataclasses.replace(toy.run, card={"seed": 7, "split": "test", "figures": figures})
    card = model_card({"": run}, ["fp32"], [], [], standalone=False)
    assert (
        "- seed: 7\n- split: test\n\n| figure | value |\n| --- | --- |\n| accuracy | 0.9877 |\n| f1 | 0.5000 |\n\n"
        in card
    )
    assert "{" not in card
    assert "[good" not in card


def test_only_a_task_that_says_so_gets_the_short_script(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "PREDICT_PY", False)
    Onnx(type="onnx").export(toy.net, toy.run, tmp_path, toy.log.append)
    assert not (tmp_path / "predict.py").exists()


def test_golden_rows_hold_the_hard_ones() -> None:
    texts = [f"some words number {i}" for i in range(100)]
    texts[40], texts[50], texts[60], texts[70] = "", "long " * 500, "中文", "ok 😀"
    predictions = [{"scores": {"a": 0.9, "b": 0.1}} for _ in texts]
    predictions[80] = {"scores": {"a": 0.501, "b": 0.499}}
    picked = chosen({"text": texts}, ["text"], predictions)
    assert {40, 50, 60, 70, 80} <= set(picked)
    assert len(picked) == len(set(picked)) == 12


def test_rows_are_sampled_evenly_and_in_order() -> None:
    assert sampled({"a": list(range(10))}, rows=5) == {"a": [0, 2, 4, 6, 8]}
    assert sampled({"a": [1, 2]}, rows=5) == {"a": [1, 2]}


def test_settings_are_checked() -> None:
    for wrong in ({"precisions": []}, {"precisions": ["fp32", "fp32"]}, {"precisions": ["fp8"]}, {"opset": 9}):
        with pytest.raises(ValidationError):
            Onnx(type="onnx", **wrong)  # type: ignore[arg-type]  # wrong on purpose


def test_requirements_name_the_plugin_or_refuse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert requirements(["hft_core.runtime.text"]) == {}
    (tmp_path / "loose_file.py").touch()
    (tmp_path / "packaged.py").write_text("REQUIRES = ('numpy',)\n")
    info = tmp_path / "hft_packaged-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hft-packaged\nVersion: 1.5\n")
    (info / "entry_points.txt").write_text("[hft]\npackaged = packaged\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    needed = requirements(["packaged"])
    assert needed["hft-packaged"] == "1.5"
    assert "numpy" in needed
    with pytest.raises(PluginError, match="loose_file"):
        requirements(["loose_file"])
