"""Passing many rows through a net within a technique, as evaluation does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hft_core import Preprocessor, Ragged

if TYPE_CHECKING:
    from hft_core import Net

_AT_ONCE = 64
"""Rows of similar length that pass together."""


def outputs_of(net: Net, head: str, output: str, tokens: Ragged, preprocessor: Preprocessor) -> NDArray[np.float32]:
    """Give one of a head's outputs for rows of tokens, float32 [rows, width]; without dropout, gradients or bfloat16.

    The net is left in the mode in which it was.
    """
    import torch

    device, training = next(net.parameters()).device, net.training
    by_length = np.argsort(tokens.lengths, kind="stable")
    parts = []
    net.eval()
    with torch.no_grad():
        for start in range(0, len(by_length), _AT_ONCE):
            padded = preprocessor.pad({"input_ids": tokens.take(by_length[start : start + _AT_ONCE])})
            arrays = {name: torch.from_numpy(array).to(device) for name, array in padded.items()}
            parts.append(net(head, **arrays)[output].float().cpu().numpy())
    net.train(training)
    found: NDArray[np.float32] = np.concatenate(parts)[np.argsort(by_length)]
    return found
