"""Precisions beside fp32: each is made of the proven fp32 graphs, and gated like them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

from hft_core import DamagedError, Graph, NonFiniteError, PluginError
from hft_core.runtime.session import OnnxCall
from hft_plugins.onnx.files import data_file
from hft_plugins.onnx.gates import Gate, of_graph
from hft_plugins.onnx.half import halve
from hft_plugins.onnx.quantize import GROUPS, NARROW, SQUARE, TABLES, WIDE, groups, quantize
from hft_plugins.onnx.structure import variant_gates
from hft_plugins.onnx.weight_only import pack

SUFFIXES = {"fp32": "", "fp16": "_fp16", "int8": "_quantized", "w8": "_w8", "w4": "_q4"}
"""What a graph's file is called, as transformers.js and others look for it."""
SEARCH = ((NARROW,), (WIDE,), (NARROW, WIDE), (NARROW, SQUARE), (NARROW, TABLES))
"""Groups of weights that int8 keeps in fp32, tried in this order until the gates pass. Feed-forward outputs come first:
the activations that they read have the largest outliers."""


@dataclass
class Variant:
    """A precision that was tried."""

    precision: str
    """Its name."""
    files: dict[str, Path]
    """Graph name to file."""
    call: OnnxCall | None = None
    """Runs the files; None where they could not be opened."""
    gates: list[Gate] = field(default_factory=list)
    """What it was held to."""
    kept: tuple[str, ...] = ()
    """Groups of weights that are in fp32."""
    tried: list[str] = field(default_factory=list)
    """What came of other groups, one sentence each."""

    @property
    def missed(self) -> list[Gate]:
        """The gates that it does not pass."""
        return [gate for gate in self.gates if not gate.passed and not gate.waived]

    @property
    def told(self) -> str:
        """The precision, with what is kept in fp32."""
        return self.precision + (f" with {_listed(self.kept)} in fp32" if self.kept else "")

    def refusal(self) -> str:
        """Say why it was not written."""
        also = f"; nor does it keep to its gates with {'; '.join(self.tried)}" if self.tried else ""
        return f"{self.precision} was not written: {self.missed[0].complaint()}{also}"

    def waive(self) -> None:
        """Let it drift: what bounds drift is no reason to refuse it, all else still is."""
        self.gates = [replace(gate, waived=True) if gate.drift and not gate.passed else gate for gate in self.gates]

    def remove(self) -> None:
        """Drop the files."""
        self.call = None  # closes the sessions: Windows does not delete a mapped file
        for file in self.files.values():
            file.unlink(missing_ok=True)
            data_file(file).unlink(missing_ok=True)


@dataclass(frozen=True)
class Maker:
    """Makes precisions of fp32 graphs."""

    graphs: Sequence[Graph]
    """The views that were traced."""
    fp32: Mapping[str, Path]
    """Graph name to its proven file."""
    numbers: Callable[[Graph, OnnxCall, str], list[Gate]]
    """Gates of one graph at many shapes."""
    decisions: Callable[[str, OnnxCall], list[Gate]]
    """Gates on validation rows."""
    log: Callable[[str], None]
    """Says what is going on."""

    def make(self, precision: str, allow_drift: bool) -> Variant:
        """Make and gate one precision; where int8 misses its gates, search for weights to keep in fp32."""
        variant = self._tried(precision)
        if precision == "int8" and _drifts(variant):
            variant = self._searched(variant)
            if allow_drift and variant.missed:  # what is written, then, is the plain one, whose files made room
                variant = replace(self._tried("int8"), tried=variant.tried)
        if allow_drift:
            variant.waive()
            if any(gate.waived for gate in variant.gates):
                self._compare(variant)  # left out so far, for a gate was missed
        return variant

    def _searched(self, plain: Variant) -> Variant:
        """Give the first int8 that misses no gate, else `plain` without its files, and with what came of the others."""
        plain.remove()
        seen = [frozenset[str]()]
        for kept in SEARCH:
            nodes = self._nodes(kept)
            if (whole := frozenset().union(*nodes.values())) in seen:
                continue
            seen.append(whole)
            self.log(f"int8 misses a gate ({(plain.missed[0]).measured}); trying it with {_listed(kept)} in fp32")
            variant = self._tried("int8", kept)
            if not variant.missed:
                return variant
            plain.tried.append(f"{_listed(kept)} in fp32 ({variant.missed[0].measured})")
            variant.remove()
        return plain

    def _tried(self, precision: str, kept: tuple[str, ...] = ()) -> Variant:
        """Write and gate a precision, with groups of weights kept in fp32; later gates are left out after one is missed."""
        nodes = self._nodes(kept)
        files = {name: file.with_name(f"{name}{SUFFIXES[precision]}.onnx") for name, file in self.fp32.items()}
        variant = Variant(precision, files, kept=kept)
        for graph in self.graphs:
            source, file = self.fp32[graph.name], files[graph.name]
            write: Mapping[str, Callable[[Path, Path], None]] = {
                "fp16": halve,
                "int8": partial(quantize, kept=nodes[graph.name]),
                "w8": partial(pack, bits=8),
                "w4": partial(pack, bits=4),
            }
            write[precision](source, file)
            looked = variant_gates(graph, source, file, precision, nodes[graph.name])
            variant.gates += _advised(of_graph(graph.name, looked), precision)
        if variant.missed:
            return variant
        try:
            variant.call = OnnxCall(files)
            variant.gates += self.decisions(precision, variant.call)
            self._compare(variant)
        except NonFiniteError as error:
            variant.gates += _advised([Gate(f"finite: {precision}", "finite numbers", str(error), False)], precision)
        except (DamagedError, PluginError) as error:
            variant.gates += _advised([Gate(f"runs: {precision}", "an answer", str(error), False)], precision)
        return variant

    def _compare(self, variant: Variant) -> None:
        """Gate a variant that misses none so far at many shapes."""
        if variant.call and not variant.missed:
            for graph in self.graphs:
                variant.gates += _advised(self.numbers(graph, variant.call, variant.precision), variant.precision)

    def _nodes(self, kept: Sequence[str]) -> dict[str, set[str]]:
        """Give the nodes of some groups, by graph."""
        return {name: {node for group in kept for node in found[group]} for name, found in self._groups.items()}

    @cached_property
    def _groups(self) -> dict[str, dict[str, dict[str, str]]]:
        return {name: groups(file) for name, file in self.fp32.items()}


def _advised(gates: Iterable[Gate], precision: str) -> list[Gate]:
    """Say what to do where a gate that is not on drift is missed; nothing waives it, and the other precisions are written."""
    return [replace(gate, advice=f"take {precision} out of `precisions`") for gate in gates]


def _drifts(variant: Variant) -> bool:
    """Whether drift is all that is wrong with it."""
    return bool(variant.missed) and all(gate.drift for gate in variant.missed)


def _listed(kept: Sequence[str]) -> str:
    return " and ".join(GROUPS[group] for group in kept)
