"""The export from a finished model to a bundle, step by step."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy
import onnxruntime  # type: ignore[import-untyped]  # ships no types
import tokenizers
import torch

from hft_core import (
    Call,
    Columns,
    DamagedError,
    DataError,
    Finished,
    Graph,
    Net,
    NonFiniteError,
    Prediction,
    Section,
)
from hft_core.runtime import manifest
from hft_core.runtime.bundle import DESCRIPTION, GOLDEN
from hft_core.runtime.session import OnnxCall
from hft_core.runtime.text import TextPreprocessor
from hft_plugins.onnx import standalone
from hft_plugins.onnx.card import model_card
from hft_plugins.onnx.decisions import advice, answers, decision_gates, sampled
from hft_plugins.onnx.describe import description
from hft_plugins.onnx.fresh import fresh_gate
from hft_plugins.onnx.gates import Gate, enforce
from hft_plugins.onnx.golden import chosen, plain
from hft_plugins.onnx.numbers import numbers_gates
from hft_plugins.onnx.quantize import quantize
from hft_plugins.onnx.structure import structure_gates
from hft_plugins.onnx.trace import data_file, trace


def export(
    net: Net, run: Finished, folder: Path, precisions: Sequence[str], opset: int, log: Callable[[str], None]
) -> Section:
    """Write a bundle into the empty `folder`; arguments and errors as those of `Onnx.export`."""
    net = net.cpu().float().eval()
    # A model may change a net to trace it (another attention); the reference stays as it was trained.
    graphs = run.model.graphs(copy.deepcopy(net), run.head)
    gates: list[Gate] = []
    onnx_folder = folder / "onnx"
    onnx_folder.mkdir()

    fp32 = {graph.name: onnx_folder / f"{graph.name}.onnx" for graph in graphs}
    for graph in graphs:
        log(f"tracing {graph.name}")
        trace(graph, fp32[graph.name], opset)
        enforce(gates, structure_gates(graph, fp32[graph.name], opset))
    calls: dict[str, OnnxCall] = {"fp32": OnnxCall(fp32)}
    for graph in graphs:
        log(f"comparing {graph.name} with torch at many shapes")
        enforce(gates, _numbers(graph, run, calls["fp32"]))

    rows = sampled(run.validation)
    if not next(iter(rows.values()), []):
        raise DataError(
            "onnx export: no validation row to compare the export with; set `data: validation:` or `split:`"
        )
    count = len(next(iter(rows.values())))
    log(f"comparing decisions on {count} validation rows")
    wanted = answers(run, rows, run.call)
    enforce(gates, decision_gates(run, rows, "fp32", wanted, answers(run, rows, calls["fp32"])))
    files = {"fp32": fp32}
    refused: list[str] = []
    if "int8" in precisions:
        log("quantising to int8")
        files["int8"] = {name: onnx_folder / f"{name}_int8.onnx" for name in fp32}
        for name, file in files["int8"].items():
            quantize(fp32[name], file)
        calls["int8"] = OnnxCall(files["int8"])
        made = _variant_gates(run, rows, "int8", wanted, calls["int8"])
        gates += made
        if missed := [gate for gate in made if not gate.passed]:
            refused.append(f"int8 was not written: {missed[0].complaint()}")
            log(refused[-1])
            _remove("int8", calls, files)
    if "fp32" not in precisions:
        _remove("fp32", calls, files)  # it was only the way to another precision
    precisions = [precision for precision in precisions if precision in files]
    if not precisions:
        raise DamagedError(f"onnx export: {'; '.join(refused)}")

    log("writing the bundle")
    run.preprocessor.save(folder)
    if (run.folder / "config.json").is_file():  # for other tools that read such folders
        shutil.copyfile(run.folder / "config.json", folder / "config.json")
    paths = {
        graph.name: {precision: files[precision][graph.name].relative_to(folder).as_posix() for precision in precisions}
        for graph in graphs
    }
    described = description(run, graphs, paths, precisions, folder)
    _write_json(folder / DESCRIPTION, described)
    _write_golden(folder / GOLDEN, run, rows, wanted, {precision: calls[precision] for precision in precisions})
    with_script = _plain_classifier(described)
    if with_script:
        shutil.copyfile(standalone.__file__, folder / "predict.py")
    finish = partial(_write_reports, folder, run, precisions, with_script, count)
    finish(gates)
    log("loading it in a fresh process without torch")
    enforce(gates, [fresh_gate(folder, precisions)])
    finish(gates)  # once more, with the last gate in it
    return Section(
        title="ONNX export",
        text=" ".join(
            [
                f"Precisions {', '.join(precisions)}; compared with the trained model on {count} validation rows.",
                *(f"{sentence}." for sentence in refused),
            ]
        ),
        table=[gate.row() for gate in gates],
        data={
            "precisions": list(precisions),
            "rows": count,
            "bytes": described["bytes"],
            "gates": [gate.row() for gate in gates],
        },
        refused=refused,
    )


def _numbers(graph: Graph, run: Finished, exported: Call) -> list[Gate]:
    vocabulary = getattr(run.preprocessor, "vocabulary", 1)  # a preprocessor without one has no ids
    longest = getattr(run.preprocessor, "max_length", None)
    return numbers_gates(graph, partial(run.call, graph.name), partial(exported, graph.name), vocabulary, longest)


def _variant_gates(run: Finished, rows: Columns, precision: str, wanted: list[Prediction], call: Call) -> list[Gate]:
    """Give the gates of a precision beside fp32; numbers that are not finite are a gate that it misses."""
    try:
        return decision_gates(run, rows, precision, wanted, answers(run, rows, call))
    except NonFiniteError as error:
        return [Gate(f"finite: {precision}", "finite numbers", str(error), False, advice(precision))]


def _remove(precision: str, calls: dict[str, OnnxCall], files: dict[str, dict[str, Path]]) -> None:
    """Drop the graphs of a precision."""
    del calls[precision]  # closes the sessions: Windows does not delete a mapped file
    for file in files.pop(precision).values():
        file.unlink()
        data_file(file).unlink(missing_ok=True)


def _write_golden(
    file: Path, run: Finished, rows: Columns, wanted: list[Prediction], calls: dict[str, OnnxCall]
) -> None:
    """Write golden rows with each precision's predictions, made of just these rows, as `verify` makes them."""
    roles = run.task.roles()
    picked = chosen(rows, roles.text, wanted)
    columns = {name: [rows[name][row] for row in picked] for name in (*roles.text, *roles.inputs)}
    made = {precision: answers(run, columns, call) for precision, call in calls.items()}
    with file.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as stream:
        for index in range(len(picked)):
            record = {
                "row": {name: plain(name, columns[name][index]) for name in columns},
                "predictions": {precision: made[precision][index] for precision in made},
            }
            stream.write(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")


def _plain_classifier(described: dict[str, Any]) -> bool:
    """Whether the short script can answer: softmax over the labels of one text.

    The task's runtime module says with ``PREDICT_PY = True`` that this is all that its `decode` does.
    """
    graphs = described["graphs"]
    labels = described["task"]["facts"].get("labels")
    return bool(
        getattr(import_module(described["task"]["module"]), "PREDICT_PY", False)
        and described["preprocessor"]["module"] == TextPreprocessor.module
        and labels
        and list(graphs) == ["model"]
        and graphs["model"]["outputs"].get("logits") == ["batch", len(labels)]
    )


def _write_reports(
    folder: Path, run: Finished, precisions: Sequence[str], with_script: bool, rows: int, gates: Sequence[Gate]
) -> None:
    """Write parity.json, the model card, and last the manifest."""
    versions = {module.__name__: module.__version__ for module in (torch, onnxruntime, tokenizers, numpy)}
    parity = {"rows": rows, "gates": [gate.row() for gate in gates], "versions": versions}
    _write_json(folder / "parity.json", parity)
    (folder / "README.md").write_text(model_card(run, precisions, gates, with_script), encoding="utf-8", newline="\n")
    manifest.write(folder)


def _write_json(file: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, ensure_ascii=False, indent=2, allow_nan=False)
    with file.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as stream:
        stream.write(text + "\n")
