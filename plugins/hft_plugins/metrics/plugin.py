"""Offers the built-in metrics."""

from __future__ import annotations

from hft_core import Metric, hookimpl
from hft_plugins.metrics.classification import F1, Accuracy, Confusion, Precision, Recall
from hft_plugins.metrics.language import Perplexity


@hookimpl
def register_metrics() -> list[type[Metric]]:
    """Offer accuracy, precision, recall, F1, confusion and perplexity."""
    return [Accuracy, Precision, Recall, F1, Confusion, Perplexity]
