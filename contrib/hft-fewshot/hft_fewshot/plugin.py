"""Offers what learns from a few labelled rows: two tasks, their objectives, and two techniques."""

from hft_core import Objective, Task, Technique, hookimpl
from hft_fewshot.contrastive import ContrastivePairs
from hft_fewshot.fitted import FittedHead
from hft_fewshot.prompt import Prompt
from hft_fewshot.pseudo import PseudoLabels
from hft_fewshot.task import FewShotClassification, PromptClassification


@hookimpl
def register_tasks() -> list[type[Task]]:
    """Offer a classifier over embeddings, and one over words that a language model fills in."""
    return [FewShotClassification, PromptClassification]


@hookimpl
def register_objectives() -> list[type[Objective]]:
    """Offer contrastive pairs, and the objective of prompts."""
    return [ContrastivePairs, Prompt]


@hookimpl
def register_techniques() -> list[type[Technique]]:
    """Offer a head that is fitted, not trained, and labels that an earlier stage gives."""
    return [FittedHead, PseudoLabels]
