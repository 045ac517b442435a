"""Offers text to text."""

from hft_core import Objective, Task, hookimpl
from hft_plugins.text_to_text.objective import Seq2Seq
from hft_plugins.text_to_text.task import TextToText


@hookimpl
def register_tasks() -> list[type[Task]]:
    """Offer the task."""
    return [TextToText]


@hookimpl
def register_objectives() -> list[type[Objective]]:
    """Offer its objective."""
    return [Seq2Seq]
