"""What averages of weights share: other weights in the net for a while."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from hft_core import Net


@contextmanager
def swapped(net: Net, weights: Mapping[str, torch.Tensor]) -> Iterator[None]:
    """Give the net these weights, by the names of its parameters, and its own back afterwards."""
    own = {name: parameter.detach().clone() for name, parameter in net.named_parameters() if name in weights}
    _put(net, weights)
    try:
        yield
    finally:
        _put(net, own)


def _put(net: Net, weights: Mapping[str, torch.Tensor]) -> None:
    import torch

    parameters = dict(net.named_parameters())
    with torch.no_grad():
        for name, weight in weights.items():
            parameters[name].copy_(weight)
