"""Offers the built-in augmenters."""

from __future__ import annotations

from hft_core import Augmenter, hookimpl
from hft_plugins.augmenters.back_translation import BackTranslation
from hft_plugins.augmenters.character_noise import CharacterNoise
from hft_plugins.augmenters.entity_swap import EntitySwap
from hft_plugins.augmenters.masked_words import MaskedWords
from hft_plugins.augmenters.neighbours import Neighbours
from hft_plugins.augmenters.punctuation import Punctuation
from hft_plugins.augmenters.random_delete import RandomDelete
from hft_plugins.augmenters.random_insert import RandomInsert
from hft_plugins.augmenters.random_swap import RandomSwap
from hft_plugins.augmenters.sentence_mix import SentenceMix
from hft_plugins.augmenters.sentence_order import SentenceOrder
from hft_plugins.augmenters.synonyms import Synonyms


@hookimpl
def register_augmenters() -> list[type[Augmenter]]:
    """Offer augmenters: lexical ones, sentences, entities, and those with a model."""
    return [
        Synonyms, RandomSwap, RandomInsert, RandomDelete, Punctuation, CharacterNoise, SentenceOrder, SentenceMix,
        EntitySwap, Neighbours, MaskedWords, BackTranslation,
    ]  # fmt: skip
