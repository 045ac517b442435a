"""The files of a bundle beside its graphs: description, golden rows, script, parity report, card, checksums."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy
import onnxruntime  # type: ignore[import-untyped]  # ships no types
import tokenizers
import torch

from hft_core import Call, Columns, Prediction
from hft_core.runtime import manifest
from hft_core.runtime.description import DESCRIPTION, GOLDEN, PARITY, PROVEN
from hft_core.runtime.text import TextPreprocessor
from hft_plugins.onnx import standalone
from hft_plugins.onnx.card import model_card
from hft_plugins.onnx.describe import description, reads
from hft_plugins.onnx.gates import Gate
from hft_plugins.onnx.golden import chosen, invented, plain
from hft_plugins.onnx.others import write_config
from hft_plugins.onnx.parts import Part
from hft_plugins.onnx.subject import Subject
from hft_plugins.onnx.variants import Variant
from hft_plugins.onnx.ways import as_json


def write_bundle(
    folder: Path, subject: Subject, parts: Sequence[Part], variants: Sequence[Variant], in_tokenizer: bool
) -> dict[str, Any]:
    """Write what the graphs' files need beside them, but the reports; gives the content of bundle.json."""
    config = subject.first.folder / "config.json"
    if config.is_file():
        write_config(config, folder)
    paths = {
        graph.name: {one.precision: one.files[graph.name].relative_to(folder).as_posix() for one in variants}
        for graph in subject.graphs
    }
    names = [one.precision for one in variants]
    described = description(subject.tasks, subject.graphs, paths, names, folder, in_tokenizer)
    drift = allowed_drift(variants)
    described = as_json(described | ({"allowed_drift": drift} if drift else {}))
    _write_json(folder / DESCRIPTION, described)
    _write_golden(folder / GOLDEN, parts, variants)
    if has_script(described):
        shutil.copyfile(standalone.__file__, folder / "predict.py")
    return described


def allowed_drift(variants: Sequence[Variant]) -> dict[str, list[dict[str, Any]]]:
    """By precision, the gates that were missed and waived."""
    drift = {one.precision: [gate.row() for gate in one.gates if gate.waived] for one in variants}
    return {precision: rows for precision, rows in drift.items() if rows}


def has_script(described: Mapping[str, Any]) -> bool:
    """Whether the short script can answer: softmax over the labels of one text, at a temperature.

    The task's runtime module says with ``PREDICT_PY = True`` that this is all that its `decode` does.
    """
    if "task" not in described:
        return False
    graphs, facts = described["graphs"], described["task"]["facts"]
    labels = facts.get("labels")
    return bool(
        getattr(import_module(described["task"]["module"]), "PREDICT_PY", False)
        and described["preprocessor"]["module"] == TextPreprocessor.module
        and labels
        and facts.keys() <= {"labels", "counts", "temperature", "uncalibrated"}  # a threshold decides otherwise
        and len(described["text"]) == 1
        and list(graphs) == ["model"]
        and graphs["model"]["outputs"].get("logits") == ["batch", len(labels)]
    )


def write_reports(
    folder: Path,
    parts: Sequence[Part],
    variants: Sequence[Variant],
    gates: Sequence[Gate],
    remarks: Sequence[str],
    with_script: bool,
) -> None:
    """Write parity.json, the model card, and last the manifest; `remarks` are sentences on precisions."""
    versions = {module.__name__: module.__version__ for module in (torch, onnxruntime, tokenizers, numpy)}
    parity = {
        "rows": sum(part.count for part in parts),
        "provider": PROVEN,
        "kept_in_fp32": {one.precision: list(one.kept) for one in variants if one.kept},
        "gates": [gate.row() for gate in gates],
        "versions": versions,
    }
    _write_json(folder / PARITY, parity)
    names = [one.precision for one in variants]
    card = model_card({part.name: part.run for part in parts}, names, gates, remarks, with_script)
    (folder / "README.md").write_text(card, encoding="utf-8", newline="\n")
    manifest.write(folder)


def _write_golden(file: Path, parts: Sequence[Part], variants: Sequence[Variant]) -> None:
    """Write golden rows with each precision's predictions, made of just these rows, as `verify` makes them."""
    columns = _golden_rows(parts)
    made = {one.precision: _answers(parts, columns, one.call) for one in variants if one.call}
    with file.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as stream:
        for index in range(len(next(iter(columns.values())))):
            record = {
                "row": {name: plain(name, values[index]) for name, values in columns.items()},
                "predictions": {precision: rows[index] for precision, rows in made.items()},
            }
            stream.write(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")


def _golden_rows(parts: Sequence[Part]) -> Columns:
    """Some rows of each task, in the columns that the bundle reads; with invented texts where those of the data may not go."""
    first = parts[0].run.task.roles()
    optional = list(first.optional) if len(parts) == 1 else []
    rows: Columns = {name: [] for name in (*reads(parts[0].run), *optional)}
    for part in parts:
        own = [*reads(part.run), *optional]
        texts = [name for name in own if name in part.run.task.roles().text]
        given, wanted = (part.rows, part.wanted) if part.run.texts else _invented(part, own)
        picked = chosen(given, texts, wanted, share=len(parts))
        for name, mine in zip(rows, own, strict=True):
            rows[name] += [given[mine][row] for row in picked]
    return rows


def _invented(part: Part, columns: Sequence[str]) -> tuple[Columns, list[Prediction]]:
    """Rows with texts that stand in no data, and what the model predicts for them. Columns that are no texts are real."""
    rows = dict(part.run.task.invented(invented(part.run.preprocessor)))
    count = len(next(iter(rows.values())))
    for name in columns:
        if name not in rows:
            real = part.rows[name]
            rows[name] = [real[row % len(real)] for row in range(count)]
    return rows, part.as_run.predict(rows, part.run.call)


def _answers(parts: Sequence[Part], columns: Columns, call: Call) -> list[Prediction]:
    """What the bundle predicts for rows in its own columns; of several tasks, by their names."""
    if not parts[0].name:
        return parts[0].as_bundle.predict(columns, call)
    found = {
        part.name: part.as_bundle.predict(dict(zip(reads(part.run), columns.values(), strict=True)), call)
        for part in parts
    }
    return [dict(zip(found, row, strict=True)) for row in zip(*found.values(), strict=True)]


def _write_json(file: Path, content: Mapping[str, Any]) -> None:
    text = json.dumps(content, ensure_ascii=False, indent=2, allow_nan=False)
    with file.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as stream:
        stream.write(text + "\n")
