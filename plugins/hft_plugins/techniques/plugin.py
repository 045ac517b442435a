"""Offers techniques."""

from hft_core import Technique, hookimpl
from hft_plugins.techniques.ema import EMA
from hft_plugins.techniques.layerwise_decay import LayerwiseDecay


@hookimpl
def register_techniques() -> list[type[Technique]]:
    """Offer the techniques."""
    return [EMA, LayerwiseDecay]
