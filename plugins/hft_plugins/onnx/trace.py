"""From a torch view of a net to an ONNX file."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import torch

from hft_core import Graph, PluginError
from hft_plugins.onnx.files import data_file


class _ByPosition(torch.nn.Module):
    """Gives every graph module the same signature, so that its axes can be named in one way."""

    def __init__(self, module: torch.nn.Module):
        super().__init__()
        self.module = module

    def forward(self, *arrays: torch.Tensor) -> Any:
        return self.module(*arrays)


def trace(graph: Graph, file: Path, opset: int) -> None:
    """Write `file`, with its weights in `<file>_data` beside it, where runtimes map instead of parse them.

    The axes that the graph names are dynamic. Stack traces, which the exporter leaves in the nodes and
    which hold paths of this machine, are removed.
    """
    arrays = tuple(torch.from_numpy(graph.example[name]) for name in graph.inputs)
    axes = tuple(
        {axis: size for axis, size in enumerate(sizes) if isinstance(size, str)} for sizes in graph.inputs.values()
    )
    with torch.no_grad(), quiet(), _refusing(graph.name):
        program = torch.onnx.export(
            _ByPosition(graph.module).eval(),
            arrays,
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamic_shapes=(axes,),
            opset_version=opset,
            dynamo=True,
            verbose=False,
        )
        assert program is not None  # it is None with dynamo=False only
        if _turns_weights(program.model.graph):
            # A weight that several heads read was not transposed for good before what they have in common was merged.
            program.optimize()
        _free_names(program.model.graph, {*graph.inputs, *graph.outputs})
        program.save(str(file), external_data=True)
    written = file.with_name(f"{file.name}.data")
    model = onnx.load(str(file), load_external_data=False)
    _strip(model.graph)
    _name_axes(model.graph, graph)
    del model.metadata_props[:]
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = data_file(file).name
    onnx.save(model, str(file))
    if written.exists():  # a very small model has all its weights in the graph
        written.rename(data_file(file))


@contextmanager
def _refusing(name: str) -> Iterator[None]:
    """Turn what torch raises for a model that it cannot trace into an error that says so."""
    try:
        yield
    except torch.onnx.OnnxExporterError as error:
        cause = error.__cause__ or error
        raise PluginError(
            f"onnx export: torch {torch.__version__} cannot trace the graph {name!r} with the axes that the "
            f"model names; its graphs() has to give another view. {type(cause).__name__}: {str(cause).strip()[:1000]}"
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the warnings of torch.onnx and onnxruntime's tools, which no user can act on, off the terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _turns_weights(graph: Any) -> bool:
    """Whether the graph transposes a weight each time that it runs, which hides it from the quantisers, too."""
    return any(node.op_type == "Transpose" and node.inputs[0].is_initializer() for node in graph.all_nodes())


def _free_names(graph: Any, names: set[str]) -> None:
    """Rename inner values that torch called by the name of an input or output, such as `embedding`."""
    outer = {id(value) for value in (*graph.inputs, *graph.outputs)}
    for node in graph.all_nodes():
        for value in node.outputs:
            if value.name in names and id(value) not in outer:
                value.name = f"{value.name}.inner"


def _name_axes(written: onnx.GraphProto, graph: Graph) -> None:
    """Name an output's axis that is computed of others, such as `past + sequence`, as the graph does."""
    own = {axis for sizes in graph.inputs.values() for axis in sizes}
    for value in written.output:
        for dim, axis in zip(value.type.tensor_type.shape.dim, graph.outputs.get(value.name, ()), strict=False):
            if dim.dim_param and dim.dim_param not in own and isinstance(axis, str):
                dim.dim_param = axis


def _strip(graph: onnx.GraphProto) -> None:
    del graph.metadata_props[:]
    for node in graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                _strip(attribute.g)
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        value.doc_string = ""
        del value.metadata_props[:]
