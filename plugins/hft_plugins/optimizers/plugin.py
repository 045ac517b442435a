"""Offers optimizers and schedules."""

from hft_core import Optimizer, Schedule, hookimpl
from hft_plugins.optimizers.lion import Lion
from hft_plugins.optimizers.muon import Muon
from hft_plugins.optimizers.schedules import Constant, Cosine, Linear
from hft_plugins.optimizers.torch_optimizers import SGD, Adam, AdamW


@hookimpl
def register_optimizers() -> list[type[Optimizer]]:
    """Offer the optimizers."""
    return [SGD, Adam, AdamW, Lion, Muon]


@hookimpl
def register_schedules() -> list[type[Schedule]]:
    """Offer the schedules."""
    return [Linear, Cosine, Constant]
