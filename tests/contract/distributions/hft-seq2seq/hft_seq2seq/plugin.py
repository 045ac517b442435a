"""Offers the model, the task, its objective and a metric."""

from hft_core import Metric, Model, Objective, Task, hookimpl
from hft_seq2seq.metric import ExactText
from hft_seq2seq.model import TinyT5
from hft_seq2seq.objective import Rewrite
from hft_seq2seq.task import Rewriting


@hookimpl
def register_models() -> list[type[Model]]:
    """Offer the T5."""
    return [TinyT5]


@hookimpl
def register_tasks() -> list[type[Task]]:
    """Offer rewriting."""
    return [Rewriting]


@hookimpl
def register_objectives() -> list[type[Objective]]:
    """Offer the task's objective."""
    return [Rewrite]


@hookimpl
def register_metrics() -> list[type[Metric]]:
    """Offer exact agreement."""
    return [ExactText]
