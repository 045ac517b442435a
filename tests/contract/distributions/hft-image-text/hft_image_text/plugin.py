"""Offers the reader, the task and the two models."""

from hft_core import Model, Reader, Task, hookimpl
from hft_image_text.fusion import LateFusion
from hft_image_text.patches import Patches
from hft_image_text.reader import ImageFolder
from hft_image_text.task import ImageTextClassification


@hookimpl
def register_readers() -> list[type[Reader]]:
    """Offer the folder of images."""
    return [ImageFolder]


@hookimpl
def register_tasks() -> list[type[Task]]:
    """Offer the task."""
    return [ImageTextClassification]


@hookimpl
def register_models() -> list[type[Model]]:
    """Offer late fusion, and a small model of images."""
    return [LateFusion, Patches]
