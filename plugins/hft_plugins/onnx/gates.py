"""Gate: one bound that an export must keep."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from hft_core import DamagedError


@dataclass(frozen=True)
class Gate:
    """A bound, what was measured, and whether it holds."""

    name: str
    bound: str
    measured: str
    passed: bool
    advice: str = "the exported graph does not behave like the model; nothing was written"
    drift: bool = False
    """Whether it bounds how far a precision drifts from the model, which `allow_drift` may waive."""
    waived: bool = False
    """Whether it was missed, and the user allows that."""

    def row(self) -> dict[str, Any]:
        """Give the gate as a row of the report's table."""
        return {
            "gate": self.name,
            "bound": self.bound,
            "measured": self.measured,
            "verdict": "passed" if self.passed else "allowed" if self.waived else "refused",
        }

    def complaint(self) -> str:
        """Say what was missed, by how much, and what to do."""
        return f"gate {self.name}: {self.measured}, but required is {self.bound}; {self.advice}"


def of(name: str, gates: Iterable[Gate]) -> list[Gate]:
    """Put the name of what the gates are about before their own; an empty one says nothing."""
    return [replace(gate, name=f"{name}: {gate.name}") if name else gate for gate in gates]


def of_graph(graph: str, gates: Iterable[Gate]) -> list[Gate]:
    """The same for a graph; the only one, `model`, needs no name."""
    return of("" if graph == "model" else graph, gates)


def enforce(gates: list[Gate], made: list[Gate]) -> None:
    """Append `made` to `gates`. Raises DamagedError for the first that failed."""
    for gate in made:
        gates.append(gate)
        if not gate.passed:
            raise DamagedError(f"onnx export, {gate.complaint()}")
