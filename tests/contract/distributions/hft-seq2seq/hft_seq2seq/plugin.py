"""Offers the model, the task, its objective and a metric."""

from hft_core import Metric, Model, Objective, Task, hookimpl
from hft_seq2seq.metric import ExactText
from hft_seq2seq.model import TinyT5
from hft_seq2seq.objective import Seq2Seq
from hft_seq2seq.task import TextToText


@hookimpl
def register_models() -> list[type[Model]]:
    """Offer the T5."""
    return [TinyT5]


@hookimpl
def register_tasks() -> list[type[Task]]:
    """Offer text to text."""
    return [TextToText]


@hookimpl
def register_objectives() -> list[type[Objective]]:
    """Offer the task's objective."""
    return [Seq2Seq]


@hookimpl
def register_metrics() -> list[type[Metric]]:
    """Offer exact agreement."""
    return [ExactText]
