"""Gate: one bound that an export must keep."""

from __future__ import annotations

from dataclasses import dataclass
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

    def row(self) -> dict[str, Any]:
        """Give the gate as a row of the report's table."""
        return {
            "gate": self.name,
            "bound": self.bound,
            "measured": self.measured,
            "verdict": "passed" if self.passed else "refused",
        }

    def complaint(self) -> str:
        """Say what was missed, by how much, and what to do."""
        return f"gate {self.name}: {self.measured}, but required is {self.bound}; {self.advice}"


def enforce(gates: list[Gate], made: list[Gate]) -> None:
    """Append `made` to `gates`. Raises DamagedError for the first that failed."""
    for gate in made:
        gates.append(gate)
        if not gate.passed:
            raise DamagedError(f"onnx export, {gate.complaint()}")
