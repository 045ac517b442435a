"""What a run is seen to have done, made by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hft_core.evidence.diagnosis import ObjectiveSeen, StageSeen, TaskSeen

BALANCED = {"neg": {"neg": 90, "pos": 10}, "pos": {"neg": 10, "pos": 90}}


def history(
    first: float, last: float, moved: float, steps: int = 200, peak: float | None = None
) -> list[dict[str, Any]]:
    """A loss that falls in a line, or rises to `peak` in the first half."""
    points: list[dict[str, Any]] = []
    for step in range(1, steps + 1):
        done = (step - 1) / max(1, steps - 1)
        loss = peak if peak is not None and 0.2 < done < 0.5 else first + (last - first) * done
        points.append({"step": step, "epoch": 10 * done, "lr": 1e-3, "losses": {"loss": loss}, "moved": moved * done})
    return points


def validated(figures: list[float]) -> list[dict[str, Any]]:
    """Validations, one per epoch."""
    return [
        {"step": 20 * n, "epoch": float(n), "validation": {"accuracy": value}} for n, value in enumerate(figures, 1)
    ]


def stage(*histories: list[dict[str, Any]], **changes: Any) -> StageSeen:
    """A stage that went well, but for what is given."""
    found = list(histories) or [history(0.69, 0.05, 0.5)]
    usual = StageSeen(
        index=0, name="tune", optimizer="adamw", optimizer_written=True, lr=1e-3, epochs=10,
        steps=sum("losses" in point for point in found[0]), known=False, histories=found,
    )  # fmt: skip
    return replace(usual, **changes)


def task(**changes: Any) -> TaskSeen:
    """A task that went well, but for what is given."""
    usual = TaskSeen(
        name="main", metric="accuracy", greater_is_better=True, rows=200, figures=[0.9], fitted=[0.99], constant=0.5,
        linear={"tfidf": 0.85, "probe": 0.8}, labels={"pos": 400, "neg": 400}, pairs=[BALANCED],
        sure=[{"rows": 200, "wrong": 20, "sure": 40, "sure_wrong": 0}],
        doubts={
            "rows": 800, "wrong": 120, "sure": 160, "sure_wrong": 5, "chance": 0.5,
            "validation": {"rows": 200, "right": 170},
        },
        tokens={"limit": 128, "rows": 800, "lost": 0.01, "cut": 0.02, "lengths": {"median": 20, "p95": 60}},
        longest=None, stage=0,
        objective=ObjectiveSeen(
            "stages.0.objectives.0", {"type": "task", "data": "train"}, "classification",
            ["type", "data", "label_smoothing", "class_weights"],
        ),
    )  # fmt: skip
    return replace(usual, **changes)
