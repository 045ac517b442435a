"""Offers text generation and chat."""

from hft_core import Task, hookimpl
from hft_plugins.text_generation.chat import Chat
from hft_plugins.text_generation.task import TextGeneration


@hookimpl
def register_tasks() -> list[type[Task]]:
    """Offer both tasks."""
    return [TextGeneration, Chat]
