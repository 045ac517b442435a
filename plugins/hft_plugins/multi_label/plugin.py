"""Offers multi-label classification."""

from hft_core import Objective, Task, hookimpl
from hft_plugins.multi_label.objective import MultiLabel
from hft_plugins.multi_label.task import MultiLabelClassification


@hookimpl
def register_tasks() -> list[type[Task]]:
    """Offer the task."""
    return [MultiLabelClassification]


@hookimpl
def register_objectives() -> list[type[Objective]]:
    """Offer its objective."""
    return [MultiLabel]
