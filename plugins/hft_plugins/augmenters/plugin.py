"""Offers the built-in augmenters."""

from __future__ import annotations

from hft_core import Augmenter, hookimpl
from hft_plugins.augmenters.random_delete import RandomDelete
from hft_plugins.augmenters.random_swap import RandomSwap
from hft_plugins.augmenters.synonyms import Synonyms


@hookimpl
def register_augmenters() -> list[type[Augmenter]]:
    """Offer synonyms, random-swap and random-delete."""
    return [Synonyms, RandomSwap, RandomDelete]
