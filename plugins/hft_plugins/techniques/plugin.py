"""Offers techniques."""

from hft_core import Technique, hookimpl
from hft_plugins.techniques.distillation import Distillation
from hft_plugins.techniques.ema import EMA
from hft_plugins.techniques.fgm import FGM
from hft_plugins.techniques.freeze import Freeze
from hft_plugins.techniques.gradual_unfreezing import GradualUnfreezing
from hft_plugins.techniques.layerwise_decay import LayerwiseDecay
from hft_plugins.techniques.lora import LoRA
from hft_plugins.techniques.mixup import Mixup
from hft_plugins.techniques.r_drop import RDrop
from hft_plugins.techniques.rates import Rates
from hft_plugins.techniques.reinit import Reinit
from hft_plugins.techniques.swa import SWA


@hookimpl
def register_techniques() -> list[type[Technique]]:
    """Offer the techniques."""
    return [Distillation, EMA, FGM, Freeze, GradualUnfreezing, LayerwiseDecay, LoRA, Mixup, Rates, RDrop, Reinit, SWA]
