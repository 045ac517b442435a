"""Offers the models and language-modelling objectives built on the transformers library."""

from hft_core import Model, Objective, hookimpl
from hft_plugins.transformers.causal_lm import CausalLM
from hft_plugins.transformers.masked_lm import MaskedLM
from hft_plugins.transformers.models import T5, Bert, Gpt
from hft_plugins.transformers.seq2seq.span_corruption import SpanCorruption


@hookimpl
def register_models() -> list[type[Model]]:
    """Offer encoders, decoders and encoder-decoders."""
    return [Bert, Gpt, T5]


@hookimpl
def register_objectives() -> list[type[Objective]]:
    """Offer masked and causal language modelling, and span corruption."""
    return [MaskedLM, CausalLM, SpanCorruption]
