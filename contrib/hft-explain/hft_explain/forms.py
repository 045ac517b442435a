"""What tasks predict, as far as it can be explained. Imports no torch."""

from __future__ import annotations

from typing import Literal

from hft_core import Task

Form = Literal["label", "labels", "number", "entities", "answer"]


def form_of(task: Task) -> Form | None:
    """Give what the task predicts of a row; None for anything that has no score to divide among tokens."""
    if task.target_form is not None:
        return task.target_form
    if "entities" in task.gives:
        return "entities"
    return "answer" if "answer" in task.gives else None


def refusal(task: Task) -> str:
    """Say why a task is not explained."""
    return (
        f"the task {task.type_name()} predicts {', '.join(sorted(task.gives))}; what can be explained are labels, numbers, "
        "entities and answers. Remove this export"
    )
