"""Offers token classification."""

from hft_core import Objective, Task, hookimpl
from hft_plugins.token_classification.objective import Tagging
from hft_plugins.token_classification.task import TokenClassification


@hookimpl
def register_tasks() -> list[type[Task]]:
    """Offer the task."""
    return [TokenClassification]


@hookimpl
def register_objectives() -> list[type[Objective]]:
    """Offer its objective."""
    return [Tagging]
