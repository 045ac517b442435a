"""Offers text classification."""

from hft_core import Objective, Task, hookimpl
from hft_plugins.text_classification.contrastive import SupervisedContrastive
from hft_plugins.text_classification.objective import Classification
from hft_plugins.text_classification.task import TextClassification


@hookimpl
def register_tasks() -> list[type[Task]]:
    """Offer the task."""
    return [TextClassification]


@hookimpl
def register_objectives() -> list[type[Objective]]:
    """Offer its objective, and a side loss."""
    return [Classification, SupervisedContrastive]
