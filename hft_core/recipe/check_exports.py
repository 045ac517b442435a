"""Checks of exporters that make one thing of several tasks."""

from __future__ import annotations

from collections.abc import Iterator

from hft_core.components import Task
from hft_core.recipe.check_stages import Problem
from hft_core.recipe.model import Recipe


def exports(recipe: Recipe) -> Iterator[Problem]:
    """Tasks that cannot be answered together: what one reads is what all read, and none writes piece by piece."""
    tasks = recipe.all_tasks
    for index, exporter in enumerate(recipe.export):
        if not exporter.joins or len(tasks) < 2:
            continue
        known = {name: reads for name, task in tasks.items() if (reads := _reads(task)) is not None}
        for name, task in tasks.items():
            first, most = next(iter(known.items()), (name, None))
            if task.autoregressive:
                why = f"the task {name!r} writes its predictions piece by piece, so it has no place on one graph with others"
            elif known.get(name, most) != most:
                why = f"the task {name!r} reads {_said(known[name])} a row, and {first!r} {_said(known[first])}"
            else:
                continue
            yield ("export", index, "tasks"), f"{why}; write `tasks: each`, for a bundle of each task"


def _reads(task: Task) -> tuple[int, int] | None:
    """How many texts and further inputs a prediction takes; None for a task that has to see its rows first."""
    try:
        roles = task.roles()
    except Exception:  # whatever a task raises that was not bound to columns yet: the export looks again
        return None
    return len(roles.text) - len(roles.optional), len(roles.inputs)


def _said(reads: tuple[int, int]) -> str:
    texts, inputs = reads
    found = f"{texts} text{'s' if texts != 1 else ''}"
    return f"{found} and {inputs} further input{'s' if inputs != 1 else ''}" if inputs else found
