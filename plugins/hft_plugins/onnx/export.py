"""The export from a finished model to a bundle, step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hft_core import Call, DamagedError, Finished, Graph, Net, Section
from hft_core.runtime.session import OnnxCall
from hft_plugins.onnx.describe import description
from hft_plugins.onnx.fresh import fresh_gate
from hft_plugins.onnx.gates import Gate, enforce, of_graph
from hft_plugins.onnx.normalizer import absorb
from hft_plugins.onnx.numbers import numbers_gates
from hft_plugins.onnx.parts import Part, parts_of
from hft_plugins.onnx.speed import speeds, told
from hft_plugins.onnx.structure import structure_gates
from hft_plugins.onnx.subject import Subject, subject
from hft_plugins.onnx.trace import trace
from hft_plugins.onnx.variants import Maker, Variant
from hft_plugins.onnx.ways import as_json
from hft_plugins.onnx.write import allowed_drift, has_script, write_bundle, write_reports

Log = Callable[[str], None]


def export(
    net: Net, run: Finished, folder: Path, precisions: Sequence[str], opset: int, allow_drift: bool, log: Log
) -> Section:
    """Write a bundle into the empty `folder`; arguments and errors as those of `Onnx.export`."""
    exported = subject(net.cpu().float().eval(), run)
    gates: list[Gate] = []
    fp32 = _traced(exported, folder / "onnx", opset, gates, log)
    exported.first.preprocessor.save(folder)
    in_tokenizer = absorb(list(exported.tasks.values()), folder)
    parts = _proven(exported, folder, fp32, in_tokenizer, gates, log)
    variants, refused = _precisions(exported, parts, fp32, precisions, allow_drift, gates, log)

    log("writing the bundle")
    described = write_bundle(folder, exported, parts, variants, in_tokenizer)
    log("timing it")
    speed = _speeds(exported, variants)
    remarks = [*_remarks(variants), *told(speed)]
    report = partial(write_reports, folder, parts, variants, gates, remarks, has_script(described))
    report()
    log("loading it in a fresh process without torch")
    enforce(gates, [fresh_gate(folder, described["precisions"])])
    report()  # once more, with the last gate in it
    return _section(described, parts, variants, gates, remarks, refused, speed)


def _traced(exported: Subject, folder: Path, opset: int, gates: list[Gate], log: Log) -> Variant:
    """Trace the graphs, and compare each with what it was made of."""
    folder.mkdir()
    fp32 = Variant("fp32", {graph.name: folder / f"{graph.name}.onnx" for graph in exported.graphs})
    for graph in exported.graphs:
        log(f"tracing {graph.name}")
        trace(graph, fp32.files[graph.name], opset)
        enforce(gates, of_graph(graph.name, structure_gates(graph, fp32.files[graph.name], opset)))
    fp32.call = OnnxCall(fp32.files)
    for graph in exported.graphs:
        log(f"comparing {graph.name} with torch at many shapes")
        enforce(gates, _numbers(exported, graph, fp32.call))
    return fp32


def _numbers(exported: Subject, graph: Graph, call: Call, precision: str = "fp32") -> list[Gate]:
    preprocessor = exported.first.preprocessor
    vocabulary = getattr(preprocessor, "vocabulary", 1)  # a preprocessor without one has no ids
    longest = getattr(preprocessor, "max_length", None)
    reference, other = partial(exported.call, graph.name), partial(call, graph.name)
    return of_graph(graph.name, numbers_gates(graph, reference, other, vocabulary, longest, precision))


def _proven(
    exported: Subject, folder: Path, fp32: Variant, in_tokenizer: bool, gates: list[Gate], log: Log
) -> list[Part]:
    """Compare the traced graphs with the model on each task's rows, from raw text to prediction."""
    assert fp32.call is not None  # it was traced
    files: dict[str, dict[str, str]] = {graph.name: {} for graph in exported.graphs}
    described = as_json(description(exported.tasks, exported.graphs, files, [], folder, in_tokenizer))
    parts = parts_of(exported, described, folder)
    log("comparing tokens")
    for part in parts:
        enforce(gates, part.tokens())
    for part in parts:
        of_task = f" of {part.name}" if part.name else ""
        log(f"comparing decisions on {part.count} validation rows{of_task}")
        enforce(gates, part.decisions("fp32", fp32.call))
    return parts


def _precisions(
    exported: Subject,
    parts: Sequence[Part],
    fp32: Variant,
    wanted: Sequence[str],
    allow_drift: bool,
    gates: list[Gate],
    log: Log,
) -> tuple[list[Variant], list[str]]:
    """Make the precisions that are wanted; gives those that keep to their gates, and why others were not written.

    Raises DamagedError where nothing is left.
    """

    def decisions(precision: str, call: OnnxCall) -> list[Gate]:
        return [gate for part in parts for gate in part.decisions(precision, call)]

    maker = Maker(exported.graphs, fp32.files, partial(_numbers, exported), decisions, log)
    written = {"fp32": fp32}
    refused: list[str] = []
    for precision in wanted:
        if precision == "fp32":
            continue
        log(f"making {precision}")
        variant = maker.make(precision, allow_drift)
        gates += variant.gates
        if variant.missed:
            refused.append(variant.refusal())
            log(refused[-1])
            variant.remove()
        else:
            written[precision] = variant
    if "fp32" not in wanted:
        written.pop("fp32").remove()  # it was only the way to another precision
    variants = [written[precision] for precision in wanted if precision in written]
    if not variants:
        raise DamagedError(f"onnx export: {'; '.join(refused)}")
    return variants, refused


def _speeds(exported: Subject, variants: Sequence[Variant]) -> list[dict[str, Any]]:
    return [
        record
        for graph in exported.graphs
        for record in speeds(
            graph, partial(exported.call, graph.name), {one.precision: one.files[graph.name] for one in variants}
        )
    ]


def _remarks(variants: Sequence[Variant]) -> list[str]:
    """What there is to say of the precisions, one sentence each."""
    kept = [f"{one.told[0].upper()}{one.told[1:]}." for one in variants if one.kept]
    drift = [f"{precision} drifts further than its gates allow, as asked for." for precision in allowed_drift(variants)]
    return kept + drift


def _section(
    described: dict[str, Any],
    parts: Sequence[Part],
    variants: Sequence[Variant],
    gates: Sequence[Gate],
    remarks: Sequence[str],
    refused: Sequence[str],
    speed: Sequence[dict[str, Any]],
) -> Section:
    names = described["precisions"]
    rows = sum(part.count for part in parts)
    tasks = (
        f" The graph answers {len(parts)} tasks: {', '.join(part.name for part in parts)}." if len(parts) > 1 else ""
    )
    return Section(
        title="ONNX export",
        text=" ".join(
            [
                f"Precisions {', '.join(names)}; compared with the trained model on {rows} validation rows.{tasks}",
                *remarks,
                *(f"{sentence}." for sentence in refused),
            ]
        ),
        table=[gate.row() for gate in gates],
        data={
            "precisions": names,
            "rows": rows,
            "bytes": described["bytes"],
            "kept": {one.precision: list(one.kept) for one in variants if one.kept},
            "allowed_drift": allowed_drift(variants),
            "speed": speed,
            "gates": [gate.row() for gate in gates],
        },
        refused=refused,
    )
