"""Offers regression."""

from hft_core import Objective, Task, hookimpl
from hft_plugins.regression.objective import RegressionLoss
from hft_plugins.regression.task import Regression


@hookimpl
def register_tasks() -> list[type[Task]]:
    """Offer the task."""
    return [Regression]


@hookimpl
def register_objectives() -> list[type[Objective]]:
    """Offer its objective."""
    return [RegressionLoss]
