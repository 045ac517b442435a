"""Offers the models and language-modelling objectives built on the transformers library."""

from hft_core import Model, Objective, hookimpl
from hft_plugins.transformers.causal_lm import CausalLM
from hft_plugins.transformers.masked_lm import MaskedLM
from hft_plugins.transformers.models import Bert, Gpt


@hookimpl
def register_models() -> list[type[Model]]:
    """Offer encoders and decoders."""
    return [Bert, Gpt]


@hookimpl
def register_objectives() -> list[type[Objective]]:
    """Offer masked and causal language modelling."""
    return [MaskedLM, CausalLM]
