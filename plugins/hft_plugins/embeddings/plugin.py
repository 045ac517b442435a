"""Offers sentence embeddings: two tasks, their objectives and their metrics."""

from hft_core import Metric, Objective, Task, hookimpl
from hft_plugins.embeddings.metrics import MeanReciprocalRank, RecallAt
from hft_plugins.embeddings.negatives import InBatchNegatives
from hft_plugins.embeddings.scored import CoSent, CosineMse
from hft_plugins.embeddings.task import SentenceEmbedding, SentenceSimilarity


@hookimpl
def register_tasks() -> list[type[Task]]:
    """Offer vectors learned from pairs, and from scored pairs."""
    return [SentenceEmbedding, SentenceSimilarity]


@hookimpl
def register_objectives() -> list[type[Objective]]:
    """Offer in-batch negatives for pairs, and two losses for scores."""
    return [InBatchNegatives, CoSent, CosineMse]


@hookimpl
def register_metrics() -> list[type[Metric]]:
    """Offer figures of retrieval."""
    return [MeanReciprocalRank, RecallAt]
