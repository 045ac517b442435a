"""Whether a decoder keeps the documents of a packed block apart."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch

from hft_core import PluginError

_CLOSE = 1e-3
"""Logits of the same tokens, packed and alone, differ by rounding: about 1e-6 of their size."""


class Packing:
    """Tries a model once, by numbers: not every architecture of the library reads documents out of positions."""

    def __init__(self) -> None:
        self._sound = False

    def need(self, model: Any, settings: Mapping[str, Any]) -> None:
        """Raise PluginError where `model` lets documents see each other; `settings` go into its calls."""
        if not self._sound and not _keeps_apart(model, settings):
            raise PluginError(
                f"causal-lm: a {model.config.model_type} does not keep the documents of a block apart; set `boundaries: "
                "false` in the objective, or take another model"
            )
        self._sound = True


def _keeps_apart(model: Any, settings: Mapping[str, Any]) -> bool:
    """Whether the second of two packed documents has the logits that it has alone."""
    if "position_ids" not in inspect.signature(model.forward).parameters:
        return False
    device = model.get_input_embeddings().weight.device
    packed = torch.tensor([[1, 2, 3, 4, 5, 6, 7, 8]], device=device) % model.config.vocab_size
    positions = torch.tensor([[0, 1, 2, 3, 0, 1, 2, 3]], device=device)
    trained = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            both = model(input_ids=packed, position_ids=positions, **settings).logits[:, 4:]
            alone = model(input_ids=packed[:, 4:], position_ids=positions[:, 4:], **settings).logits
    finally:
        for module, training in trained.items():
            module.training = training
    scale = float(alone.abs().max()) or 1.0
    return float((both - alone).abs().max()) <= _CLOSE * scale
