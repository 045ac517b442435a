"""Heads that a task brings itself, by a factory: built, saved, picked up, frozen, exported."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
import transformers

from hft_core import HeadSpec, PluginError
from hft_core.runtime.session import OnnxCall
from hft_core.training.inference import torch_call
from hft_plugins.onnx.numbers import numbers_gates
from hft_plugins.onnx.trace import trace


class Vector(torch.nn.Module):
    """The mean of the real tokens' states, projected, and a score of each token."""

    outputs: ClassVar[dict[str, Any]] = {"embedding": ("batch", 7), "scores": ("batch", "sequence")}

    def __init__(self, width: int, size: int = 7):
        super().__init__()
        self.projection = torch.nn.Linear(width, size)
        self.score = torch.nn.Linear(width, 1)

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        kept = mask[..., None].to(hidden.dtype)
        mean = (hidden * kept).sum(1) / kept.sum(1).clamp(min=1)
        return {"embedding": self.projection(mean), "scores": self.score(hidden)[..., 0]}


class Silent(Vector):
    outputs: ClassVar[dict[str, Any]] = {}


OWN = HeadSpec("vector", size=7, factory=Vector)


@pytest.fixture(params=["bert", "gpt"])
def bench(request: Any) -> Any:
    return request.getfixturevalue(request.param)


def built(bench: Any, heads: dict[str, HeadSpec], start: Path | None = None) -> Any:
    return bench.model.build(start or bench.start, bench.preprocessor, heads).eval()


def inputs(bench: Any, net: Any) -> dict[str, torch.Tensor]:
    batch = bench.preprocessor.pad(bench.preprocessor.encode(["good film", "the meal was bad 很 差"]))
    return {name: torch.from_numpy(array) for name, array in batch.items()}


def saved(net: Any, folder: Path) -> Path:
    folder.mkdir()
    net.save(folder)
    return folder


def test_it_is_new_until_it_is_saved(bench: Any, tmp_path: Path) -> None:
    net = built(bench, {"main": OWN})
    assert net.new_heads == {"main"}
    again = built(bench, {"main": OWN}, saved(net, tmp_path / "model"))
    assert again.new_heads == frozenset()
    with torch.no_grad():
        one, two = net("main", **inputs(bench, net)), again("main", **inputs(bench, net))
    assert one.keys() == two.keys() == Vector.outputs.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_the_folder_holds_the_plain_backbone(bench: Any, tmp_path: Path) -> None:
    net = built(bench, {"main": OWN})
    folder = saved(net, tmp_path / "model")
    plain, report = transformers.AutoModel.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    ours, theirs = net.backbone.state_dict(), plain.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert [file.name for file in (folder / "heads").iterdir()] == ["main.safetensors"]


def test_it_stands_beside_stock_heads_in_either_order(bench: Any, tmp_path: Path) -> None:
    stock = bench.task.head(bench.facts)
    for place, heads in enumerate(({"main": stock, "own": OWN}, {"own": OWN, "main": stock})):
        net = built(bench, heads)
        assert list(net.heads) == list(heads)
        again = built(bench, heads, saved(net, tmp_path / str(place)))
        assert again.new_heads == frozenset()
        assert again.heads["main"].base_model is again.backbone
        with torch.no_grad():
            for head in heads:
                one, two = net(head, **inputs(bench, net)), again(head, **inputs(bench, net))
                assert all(torch.equal(one[name], two[name]) for name in one)


def test_another_size_or_other_labels_make_a_new_head(bench: Any, tmp_path: Path) -> None:
    labelled = HeadSpec("vector", size=7, labels=tuple("abcdefg"), factory=Vector)
    folder = saved(built(bench, {"main": labelled}), tmp_path / "model")
    assert not built(bench, {"main": labelled}, folder).new_heads
    smaller = HeadSpec("vector", size=3, labels=tuple("abcdefg"), factory=lambda width: Vector(width, 3))
    renamed = HeadSpec("vector", size=7, labels=tuple("abcdefx"), factory=Vector)
    for other in (smaller, renamed):
        assert built(bench, {"main": other}, folder).new_heads == {"main"}


def test_parts_hold_each_parameter_once(bench: Any) -> None:
    net = built(bench, {"main": OWN, "other": bench.task.head(bench.facts)})
    found = [id(parameter) for part in net.parts() for parameter in part.module.parameters()]
    assert len(set(found)) == len(found)
    assert set(found) == {id(parameter) for parameter in net.parameters()}
    [part] = [part for part in net.parts() if part.name == "head.main"]
    assert part.module is net.heads["main"]


def test_its_graph_computes_the_same(bench: Any, tmp_path: Path) -> None:
    net = built(bench, {"main": OWN})
    [graph] = bench.model.graphs(built(bench, {"main": OWN}, saved(net, tmp_path / "model")), "main")
    file = tmp_path / "model.onnx"
    trace(graph, file, 20)
    call, reference = OnnxCall({"model": file}), torch_call(net, "main")
    gates = numbers_gates(graph, partial(reference, "model"), partial(call, "model"), bench.preprocessor.vocabulary, 24)
    assert {gate.name: gate.passed for gate in gates} == {"numbers: embedding": True, "numbers: scores": True}


def test_a_head_that_does_not_name_its_outputs_cannot_be_exported(bench: Any) -> None:
    net = built(bench, {"main": HeadSpec("silent", factory=Silent)})
    with pytest.raises(PluginError, match=r"head 'main' is a Silent.*`outputs`"):
        bench.model.graphs(net, "main")


def test_tags_are_a_stock_head(bench: Any, tmp_path: Path) -> None:
    net = built(bench, {"main": HeadSpec("token-classification", size=3, labels=("O", "B-X", "I-X"))})
    assert net.new_heads == {"main"}
    again = built(bench, {"main": HeadSpec("token-classification", size=3, labels=("O", "B-X", "I-X"))},
                  saved(net, tmp_path / "model"))  # fmt: skip
    assert not again.new_heads
    [graph] = bench.model.graphs(again, "main")
    assert graph.outputs == {"logits": ("batch", "sequence", 3)}
    file = tmp_path / "model.onnx"
    trace(graph, file, 20)
    call, reference = OnnxCall({"model": file}), torch_call(net, "main")
    gates = numbers_gates(graph, partial(reference, "model"), partial(call, "model"), bench.preprocessor.vocabulary, 24)
    assert [gate.name for gate in gates if gate.passed] == ["numbers: logits"]
