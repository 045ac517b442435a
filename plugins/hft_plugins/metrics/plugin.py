"""Offers the built-in metrics."""

from __future__ import annotations

from hft_core import Metric, hookimpl
from hft_plugins.metrics.classification import F1, Accuracy, Confusion, Precision, Recall
from hft_plugins.metrics.entities import EntityF1
from hft_plugins.metrics.label_sets import (
    LabelRanking,
    MultiLabelF1,
    MultiLabelPrecision,
    MultiLabelRecall,
    SubsetAccuracy,
)
from hft_plugins.metrics.language import Perplexity
from hft_plugins.metrics.numbers import R2, MeanAbsoluteError, MeanSquaredError, Pearson, Spearman
from hft_plugins.metrics.summaries import Rouge
from hft_plugins.metrics.text import ChrF, ExactMatch
from hft_plugins.metrics.translation import Bleu


@hookimpl
def register_metrics() -> list[type[Metric]]:
    """Offer the metrics of labels, entities, sets of labels, numbers, language models and written texts."""
    labels: list[type[Metric]] = [Accuracy, Precision, Recall, F1, Confusion, EntityF1]
    sets: list[type[Metric]] = [MultiLabelPrecision, MultiLabelRecall, MultiLabelF1, SubsetAccuracy, LabelRanking]
    numbers: list[type[Metric]] = [MeanSquaredError, MeanAbsoluteError, R2, Pearson, Spearman]
    texts: list[type[Metric]] = [Perplexity, ChrF, ExactMatch, Bleu, Rouge]
    return [*labels, *sets, *numbers, *texts]
