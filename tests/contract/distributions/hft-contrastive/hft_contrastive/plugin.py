"""Offers the task, its objective in two forms, and a metric."""

from hft_contrastive.metric import PairRetrieval
from hft_contrastive.objective import Contrastive, ContrastivePlain
from hft_contrastive.task import TextPairs
from hft_core import Metric, Objective, Task, hookimpl


@hookimpl
def register_tasks() -> list[type[Task]]:
    """Offer pairs of texts."""
    return [TextPairs]


@hookimpl
def register_objectives() -> list[type[Objective]]:
    """Offer contrastive learning, with cached gradients and without."""
    return [Contrastive, ContrastivePlain]


@hookimpl
def register_metrics() -> list[type[Metric]]:
    """Offer retrieval among the rows."""
    return [PairRetrieval]
