"""Faults that exports are known for, each made through the code's own seams, and each the end of a command: not 0."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from onnx import numpy_helper

from hft_core.runtime import manifest
from hft_core.runtime.description import FORMAT
from hft_core.runtime.text import TextPreprocessor
from hft_plugins.onnx import export as export_module
from hft_plugins.onnx import quantize as quantize_module
from hft_plugins.onnx import trace as trace_module
from hft_plugins.onnx.files import save
from hft_plugins.text_classification.task import TextClassification
from hft_plugins.transformers.models import Bert

Patch = pytest.MonkeyPatch


@pytest.fixture(scope="module")
def finished(make_tiny: Callable[[Path], Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run without an export."""
    import hft_core

    tiny = make_tiny(tmp_path_factory.mktemp("finished"))
    tiny.recipe["stages"][0] |= {"epochs": 12, "optimizer": {"type": "adam", "lr": 0.003}}
    return Path(hft_core.run(tiny.write()).folder)


class OtherView(torch.nn.Module):
    """A view that does something with its inputs before the right one gets them."""

    def __init__(self, inner: torch.nn.Module, change: Callable[..., tuple[torch.Tensor, ...]]):
        super().__init__()
        self.inner, self.change = inner, change

    def forward(self, *arrays: torch.Tensor) -> Any:
        return self.inner(*self.change(*arrays))


def with_graph(patch: Patch, change: Callable[[Any], Any]) -> None:
    """Let the model give another graph."""
    right = Bert.graphs
    patch.setattr(Bert, "graphs", lambda self, net, head: [change(graph) for graph in right(self, net, head)])


def with_description(patch: Patch, change: Callable[[dict[str, Any]], Any]) -> None:
    """Let bundle.json say something else."""
    right = export_module.description

    def wrong(*arguments: Any, **named: Any) -> dict[str, Any]:
        described = json.loads(json.dumps(right(*arguments, **named)))
        change(described)
        return described

    patch.setattr(export_module, "description", wrong)


def mask_is_no_input(patch: Patch) -> None:
    def change(graph: Any) -> Any:
        kept = {name: axes for name, axes in graph.inputs.items() if name != "attention_mask"}
        view = OtherView(graph.module, lambda ids, *rest: (ids, torch.ones_like(ids), *rest))
        return dataclasses.replace(graph, inputs=kept, module=view)

    with_graph(patch, change)


def mask_is_not_read(patch: Patch) -> None:
    def change(graph: Any) -> Any:
        view = OtherView(graph.module, lambda ids, mask, *rest: (ids, torch.ones_like(ids), *rest))
        return dataclasses.replace(graph, module=view)

    with_graph(patch, change)


def mask_does_nothing(patch: Patch) -> None:
    def change(graph: Any) -> Any:
        view = OtherView(graph.module, lambda ids, mask, *rest: (ids, mask.clamp(1, 1), *rest))
        return dataclasses.replace(graph, module=view)

    with_graph(patch, change)


def static_trace(patch: Patch) -> None:
    right = torch.onnx.export
    patch.setattr(
        trace_module.torch.onnx, "export", lambda *a, **named: right(*a, **(named | {"dynamic_shapes": None}))
    )


def one_by_one_trace(patch: Patch) -> None:
    """As of a sample of one row and one token, with axes that only look free."""
    static_trace(patch)
    with_graph(
        patch,
        lambda graph: dataclasses.replace(graph, example={name: a[:1, :1] for name, a in graph.example.items()}),
    )
    right = export_module.trace

    def wrong(graph: Any, file: Path, opset: int) -> None:
        right(graph, file, opset)
        model = onnx.load(str(file))
        for value, axes in [(value, graph.inputs) for value in model.graph.input] + [
            (value, graph.outputs) for value in model.graph.output
        ]:
            for dim, axis in zip(value.type.tensor_type.shape.dim, axes[value.name], strict=True):
                if isinstance(axis, str):
                    dim.dim_param = axis
        save(model, file)

    patch.setattr(export_module, "trace", wrong)


def train_mode(patch: Patch) -> None:
    patch.setattr(trace_module._ByPosition, "eval", lambda self: self.train())


def damaged(patch: Patch, name: str, shape: tuple[int, ...]) -> None:
    """Change one number of the traced tensor of a name's end and a shape."""
    right = export_module.trace

    def wrong(graph: Any, file: Path, opset: int) -> None:
        right(graph, file, opset)
        model = onnx.load(str(file))
        found = next(t for t in model.graph.initializer if t.name.endswith(name) and tuple(t.dims) == shape)
        values = numpy_helper.to_array(found).copy()
        values[7, 3] += 1e-3
        found.CopyFrom(numpy_helper.from_array(values, found.name))
        save(model, file)

    patch.setattr(export_module, "trace", wrong)


def perturbed_weight(patch: Patch) -> None:
    damaged(patch, "position_embeddings.weight", (512, 128))


def perturbed_transposed_weight(patch: Patch) -> None:
    """One of a matrix that lost its name when it was transposed."""
    damaged(patch, "", (128, 512))


def swapped_labels(patch: Patch) -> None:
    with_description(patch, lambda described: described["task"]["facts"]["labels"].reverse())


def wrong_padding_side(patch: Patch) -> None:
    with_description(patch, lambda described: described["preprocessor"]["settings"].update(padding_side="left"))


def longer_texts(patch: Patch) -> None:
    with_description(patch, lambda described: described["preprocessor"]["settings"].update(max_length=8))


def altered_tokenizer(patch: Patch) -> None:
    right = TextPreprocessor.save

    def wrong(self: TextPreprocessor, folder: Path) -> None:
        right(self, folder)
        file = folder / "tokenizer.json"
        content = json.loads(file.read_text(encoding="utf-8"))
        content["normalizer"]["lowercase"] = not content["normalizer"]["lowercase"]
        file.write_text(json.dumps(content), encoding="utf-8")

    patch.setattr(TextPreprocessor, "save", wrong)


def decoding_that_is_in_no_bundle(patch: Patch) -> None:
    """A threshold in the component beside its runtime module."""
    right = TextClassification.decode

    def wrong(self: TextClassification, *arguments: Any) -> list[dict[str, Any]]:
        return [one | {"label": "pos" if one["scores"]["pos"] > 1e-6 else "neg"} for one in right(self, *arguments)]

    patch.setattr(TextClassification, "decode", wrong)


def per_tensor_int8(patch: Patch) -> None:
    right = quantize_module.quantize_dynamic

    def wrong(*arguments: Any, **named: Any) -> None:
        right(*arguments, **(named | {"per_channel": False}))

    patch.setattr(quantize_module, "quantize_dynamic", wrong)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "code", "message"),
    [
        (mask_is_no_input, 9, "gate mask: input_ids, token_type_ids"),
        (mask_is_not_read, 9, "gate inputs used: unused: attention_mask"),
        (mask_does_nothing, 9, "gate numbers: logits: .*(right|left|hole) padding"),
        (one_by_one_trace, 9, "gate numbers"),
        (static_trace, 9, r"gate inputs: input_ids \[2, 8\]"),
        (train_mode, 9, "gate no training nodes: Dropout"),
        (perturbed_weight, 9, r"gate weights: .*position_embeddings.weight differs in 1 of 65,536 numbers"),
        (perturbed_transposed_weight, 9, r"gate weights: .*intermediate.dense.weight differs in 1 of 65,536 numbers"),
        (swapped_labels, 9, "gate decisions: fp32: .* flips"),
        (wrong_padding_side, 9, "gate tokenizer: .*padded: "),
        (longer_texts, 9, "gate tokenizer: "),
        (altered_tokenizer, 9, "gate tokenizer: "),
        (decoding_that_is_in_no_bundle, 9, "gate decisions: fp32: .* flips"),
        (per_tensor_int8, 9, "int8 was not written: gate per channel: int8"),
    ],
)
def test_an_export_with_a_fault_is_refused(
    finished: Path,
    hft_here: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: Patch,
    fault: Callable[[Patch], None],
    code: int,
    message: str,
) -> None:
    precisions = "[int8]" if fault is per_tensor_int8 else "[fp32]"
    fault(monkeypatch)
    outcome = hft_here("export", finished, "--set", f"precisions={precisions}", "--out", tmp_path / "out")
    assert outcome.code == code, outcome.err
    assert re.search(message, outcome.err), outcome.err
    assert not (tmp_path / "out" / "bundle").exists()


@pytest.mark.slow
def test_without_a_fault_it_is_written(finished: Path, hft_here: Callable[..., Any], tmp_path: Path) -> None:
    outcome = hft_here("export", finished, "--set", "precisions=[fp32,fp16]", "--out", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    assert hft_here("verify", tmp_path / "out").code == 0


@pytest.mark.slow
def test_drift_is_written_only_where_it_is_allowed(
    finished: Path, hft_here: Callable[..., Any], tmp_path: Path, monkeypatch: Patch
) -> None:
    from hft_plugins.onnx import decisions, variants

    monkeypatch.setitem(decisions.LIMITS, "int8", decisions.Limits(flips=-1.0, points=1.0))
    monkeypatch.setattr(variants, "SEARCH", ())
    arguments = ["export", finished, "--set", "precisions=[fp32,int8]"]
    refused = hft_here(*arguments, "--out", tmp_path / "refused")
    assert refused.code == 9
    assert "--allow-drift" in refused.err
    allowed = hft_here(*arguments, "--allow-drift", "--out", tmp_path / "allowed")
    assert allowed.code == 0, allowed.err
    content = json.loads((tmp_path / "allowed" / "bundle" / "bundle.json").read_text("utf-8"))
    assert content["precisions"] == ["fp32", "int8"]
    assert [row["gate"] for row in content["allowed_drift"]["int8"]] == ["decisions: int8"]
    assert hft_here("verify", tmp_path / "allowed").code == 0


def truncated(bundle: Path) -> None:
    file = bundle / "onnx" / "model.onnx_data"
    file.write_bytes(file.read_bytes()[:-100])


def bit_flipped(bundle: Path) -> None:
    file = bundle / "onnx" / "model.onnx_data"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def tokenizer_altered(bundle: Path) -> None:
    file = bundle / "tokenizer.json"
    text = file.read_text(encoding="utf-8")
    assert '"lowercase"' in text
    file.write_text(
        text.replace('"lowercase": true', '"lowercase": false').replace('"lowercase":true', '"lowercase":false')
    )
    assert file.read_text(encoding="utf-8") != text


def described(bundle: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change bundle.json and its checksum, as someone would who means it."""
    file = bundle / "bundle.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    change(content)
    file.write_text(json.dumps(content), encoding="utf-8")
    manifest.write(bundle)


def labels_swapped(bundle: Path) -> None:
    described(bundle, lambda content: content["task"]["facts"]["labels"].reverse())


def padded_on_the_left(bundle: Path) -> None:
    described(bundle, lambda content: content["preprocessor"]["settings"].update(padding_side="left"))


def plugin_missing(bundle: Path) -> None:
    described(bundle, lambda content: content["requires"].update({"hft-nowhere": "1.0"}))


def older(bundle: Path) -> None:
    described(bundle, lambda content: content.update(format=0))


def newer(bundle: Path) -> None:
    described(bundle, lambda content: content.update(format=FORMAT + 1))


@pytest.mark.parametrize(
    ("fault", "code", "message", "when_opened"),
    [
        (truncated, 9, "model.onnx_data has .* bytes instead of", True),
        (bit_flipped, 9, "model.onnx_data was changed or damaged", False),  # opening reads no checksum of large files
        (tokenizer_altered, 9, "tokenizer.json was changed or damaged", True),
        (labels_swapped, 9, r"golden.jsonl, line \d+: at fp32", False),
        (padded_on_the_left, 9, r"golden.jsonl, line \d+: at fp32", False),
        (plugin_missing, 4, "needs hft-nowhere, which is missing", True),
        (older, 4, "has format 0", True),
        (newer, 4, f"has format {FORMAT + 1}", True),
    ],
)
def test_a_bundle_with_a_fault_is_refused(
    exported: Path,
    hft_here: Callable[..., Any],
    tmp_path: Path,
    fault: Callable[[Path], None],
    code: int,
    message: str,
    when_opened: bool,
) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(exported, bundle)
    fault(bundle)
    commands = [("verify", bundle)] + ([("predict", bundle, "a text")] if when_opened else [])
    for command in commands:
        outcome = hft_here(*command)
        assert outcome.code == code, outcome.err
        assert re.search(message, outcome.err), outcome.err
