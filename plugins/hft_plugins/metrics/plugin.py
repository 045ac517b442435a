"""Offers the built-in metrics."""

from __future__ import annotations

from hft_core import Metric, hookimpl
from hft_plugins.metrics.classification import F1, Accuracy, Confusion, Precision, Recall
from hft_plugins.metrics.entities import EntityF1
from hft_plugins.metrics.language import Perplexity


@hookimpl
def register_metrics() -> list[type[Metric]]:
    """Offer accuracy, precision, recall, F1, confusion, perplexity and the F1 of entities."""
    return [Accuracy, Precision, Recall, F1, Confusion, Perplexity, EntityF1]
