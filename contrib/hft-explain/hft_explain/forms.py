"""What tasks predict, as far as it can be explained. Imports no torch."""

from __future__ import annotations

from importlib import import_module
from typing import Literal

from hft_core import Task

Form = Literal["label", "labels", "number", "entities", "answer"]


def form_of(task: Task) -> Form | None:
    """Give what the task predicts of a row; None for anything that has no score to divide among tokens."""
    if task.target_form is not None:
        return None if _predicts_itself(task) else task.target_form
    if "entities" in task.gives:
        return "entities"
    return "answer" if "answer" in task.gives else None


def _predicts_itself(task: Task) -> bool:
    """Whether labels or numbers are not what the model's graph gives, but made of it, such as of words at a gap."""
    return type(task).predict is not Task.predict or hasattr(import_module(task.runtime), "predict")


def refusal(task: Task) -> str:
    """Say why a task is not explained."""
    if task.target_form is not None:
        return (
            f"the task {task.type_name()} makes its {task.target_form} of the model's outputs itself, so that it cannot be "
            "explained from them. Remove this export"
        )
    return (
        f"the task {task.type_name()} predicts {', '.join(sorted(task.gives))}; what can be explained are labels, numbers, "
        "entities and answers. Remove this export"
    )
