"""Offers the model."""

from hft_bag.model import Bag
from hft_core import Model, hookimpl


@hookimpl
def register_models() -> list[type[Model]]:
    """Offer the bag."""
    return [Bag]
