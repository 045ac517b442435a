"""Checks of models."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hft_core.components import Graph, HeadSpec, Model
from hft_core.testing.subject import Subject, Unchecked, digest

if TYPE_CHECKING:
    import torch

    from hft_core.components.net import Net

_ROWS, _LENGTH = 2, 8
_PARITY = 1e-4
"""How far an exported graph's numbers may lie from the net's, relative to their size."""


def restores_its_preprocessor(subject: Subject) -> None:
    """Saved and loaded by its module, the preprocessor gives the same arrays; its settings are plain JSON."""
    preprocessor: Any = subject.preprocessor
    settings = json.loads(json.dumps(preprocessor.settings()))
    texts = [text for text in subject.sample.texts if text.strip()]
    with tempfile.TemporaryDirectory(prefix="hft-check-") as folder:
        preprocessor.save(Path(folder))
        again = import_module(preprocessor.module).load(Path(folder), settings)
    one, other = (digest(made.pad(made.encode(texts))) for made in (preprocessor, again))
    assert one == other, "the preprocessor encodes otherwise after it was saved and loaded"


def runs_forward_and_backward(subject: Subject) -> None:
    """Two rows of eight tokens go forward through every head and back, with finite outputs and gradients."""
    import torch

    net = _net(subject).train()
    arrays = _tensors(_inputs(subject))
    for head in subject.sample.heads:
        net.zero_grad()
        outputs = [output for output in net(head, **arrays).values() if _is_float(output)]
        assert outputs, f"the head {head!r} gives no output"
        assert all(len(output) == _ROWS for output in outputs), (
            f"outputs of {head!r} need one entry per row of the batch"
        )
        assert all(torch.isfinite(output).all() for output in outputs), f"an output of {head!r} is not finite"
        torch.stack([output.float().pow(2).sum() for output in outputs]).sum().backward()  # type: ignore[no-untyped-call]  # torch
        found = [parameter.grad for parameter in net.parameters() if parameter.grad is not None]
        assert found, f"the head {head!r} gives no gradient"
        assert all(torch.isfinite(gradient).all() for gradient in found), f"a gradient of {head!r} is not finite"


def does_not_mind_padding(subject: Subject) -> None:
    """A row's outputs are the same alone and padded beside a longer one."""
    import torch

    net = _net(subject).eval()
    texts = [text for text in subject.sample.texts if len(text) > 1]
    short, long = min(texts, key=len), max(texts, key=len)
    for head in subject.sample.heads:
        with torch.no_grad():
            alone, both = (net(head, **_tensors(_padded(subject, given))) for given in ([short], [short, long]))
        for name, output in alone.items():
            if _is_float(output) and output.ndim == 2 and output.shape[1:] == both[name].shape[1:]:
                assert output[0].allclose(both[name][0], atol=1e-5), f"{name} of a row depends on the padding beside it"


def has_parts_for_all_weights(subject: Subject) -> None:
    """`parts` gives named pieces from input to heads; every weight lies in exactly one."""
    net = _net(subject)
    parts = net.parts()
    names = Counter(part.name for part in parts)
    assert max(names.values(), default=0) <= 1, f"two parts are called {names.most_common(1)[0][0]!r}"
    depths = [part.depth for part in parts]
    assert all(0 <= depth <= 1 for depth in depths), f"a depth lies between 0 (input) and 1 (heads), found {depths}"
    owned: set[int] = set()
    for part in parts:
        assert part.kind in ("embeddings", "layer", "head"), f"a part is embeddings, layer or head, found {part.kind!r}"
        owned |= {id(parameter) for parameter in part.module.parameters()}
    lost = [name for name, parameter in net.named_parameters() if id(parameter) not in owned]
    assert not lost, f"no part has the weight {lost[0]}"


def builds_what_it_saved(subject: Subject) -> None:
    """Built from what `save` wrote, with the same heads, the net computes the same; none of its heads is new."""
    import torch

    net, arrays = _net(subject).eval(), _tensors(_inputs(subject))
    with tempfile.TemporaryDirectory(prefix="hft-check-") as folder:
        net.save(Path(folder))
        subject.preprocessor.save(Path(folder))
        again = subject.model.build(Path(folder), subject.preprocessor, _heads(subject)).eval()
        assert not again.new_heads, f"the heads {', '.join(again.new_heads)} are new, though they were saved"
        for head in subject.sample.heads:
            with torch.no_grad():
                one, other = (made(head, **arrays) for made in (net, again))
            for name, output in one.items():
                if _is_float(output):
                    assert output.allclose(other[name], atol=1e-6), (
                        f"{name} of {head!r} is another after saving and building"
                    )


def exports_within_parity(subject: Subject) -> None:
    """ONNX Runtime computes of its graphs what torch computes, also at shapes that they were not traced with."""
    import torch

    for head in subject.sample.heads:
        if reason := subject.model.unexportable(subject.model.locate()):
            raise Unchecked(reason)
        torch.manual_seed(0)
        net = subject.model.build(subject.model.locate(), subject.preprocessor, {head: _heads(subject)[head]})
        for graph in subject.model.graphs(net.eval(), head):
            _compare(graph)


def _compare(graph: Graph) -> None:
    import onnxruntime  # type: ignore[import-untyped]  # it ships no types
    import torch

    module = graph.module.eval()
    axes = tuple(
        {axis: size for axis, size in enumerate(sizes) if isinstance(size, str)} for sizes in graph.inputs.values()
    )
    with tempfile.TemporaryDirectory(prefix="hft-check-") as folder:
        file = Path(folder, "model.onnx")
        program = torch.onnx.export(
            _ByPosition.of(module), tuple(torch.from_numpy(graph.example[name]) for name in graph.inputs),
            input_names=list(graph.inputs), output_names=list(graph.outputs), dynamic_shapes=(axes,), dynamo=True,
            verbose=False,
        )  # fmt: skip
        assert program is not None
        program.save(str(file))
        session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        for arrays in _shapes(graph):
            with torch.no_grad():
                expected = module(*(torch.from_numpy(arrays[name]) for name in graph.inputs))
            fed = {value.name: arrays[value.name] for value in session.get_inputs()}
            for name, one, other in zip(graph.outputs, expected, session.run(None, fed), strict=True):
                scale = max(1.0, float(one.abs().max())) if one.numel() else 1.0
                off = float(np.abs(one.numpy() - other).max(initial=0)) / scale
                assert off <= _PARITY, f"graph {graph.name}: {name} is off by {off:.2g} × scale, more than {_PARITY:g}"


def _shapes(graph: Graph) -> list[dict[str, Any]]:
    """The example, and one row of it."""
    first = {name: array[:1] for name, array in graph.example.items()}
    batched = all(sizes and sizes[0] == "batch" for sizes in graph.inputs.values())
    return [dict(graph.example), *([first] if batched else [])]


class _ByPosition:
    """Gives every graph module the same signature, so that its axes can be named in one way."""

    @staticmethod
    def of(module: torch.nn.Module) -> torch.nn.Module:
        import torch

        class Wrapped(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.module = module

            def forward(self, *arrays: torch.Tensor) -> Any:
                return self.module(*arrays)

        return Wrapped().eval()


def _net(subject: Subject) -> Net:
    import torch

    torch.manual_seed(0)
    model: Model = subject.model
    return model.build(model.locate(), subject.preprocessor, _heads(subject))


def _heads(subject: Subject) -> dict[str, HeadSpec]:
    return {name: HeadSpec(name, size=size) for name, size in subject.sample.heads.items()}


def _inputs(subject: Subject) -> dict[str, Any]:
    """Two rows of eight tokens, or what the preprocessor makes of two texts that are that long."""
    longest = sorted((text for text in subject.sample.texts), key=len)[-_ROWS:]
    padded = _padded(subject, longest)
    return {name: array[:, :_LENGTH] if array.ndim == 2 else array for name, array in padded.items()}


def _padded(subject: Subject, texts: list[str]) -> dict[str, Any]:
    preprocessor: Any = subject.preprocessor
    if subject.sample.inputs is not None:
        return dict(subject.sample.inputs(preprocessor, texts))
    return dict(preprocessor.pad(preprocessor.encode(texts)))


def _tensors(arrays: dict[str, Any]) -> dict[str, torch.Tensor]:
    import torch

    return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}


def _is_float(output: Any) -> bool:
    return bool(hasattr(output, "is_floating_point") and output.is_floating_point())


CHECKS = (
    restores_its_preprocessor,
    runs_forward_and_backward,
    does_not_mind_padding,
    has_parts_for_all_weights,
    builds_what_it_saved,
    exports_within_parity,
)
