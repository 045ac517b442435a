"""Offers extractive question answering."""

from hft_core import Metric, Objective, Task, hookimpl
from hft_plugins.question_answering.metrics import AnswerExactMatch, AnswerF1
from hft_plugins.question_answering.objective import AnswerSpan
from hft_plugins.question_answering.task import QuestionAnswering


@hookimpl
def register_tasks() -> list[type[Task]]:
    """Offer the task."""
    return [QuestionAnswering]


@hookimpl
def register_objectives() -> list[type[Objective]]:
    """Offer its objective."""
    return [AnswerSpan]


@hookimpl
def register_metrics() -> list[type[Metric]]:
    """Offer exact match and F1 of answers."""
    return [AnswerExactMatch, AnswerF1]
