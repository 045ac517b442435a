"""Offers text generation."""

from hft_core import Task, hookimpl
from hft_plugins.text_generation.task import TextGeneration


@hookimpl
def register_tasks() -> list[type[Task]]:
    """Offer the task."""
    return [TextGeneration]
