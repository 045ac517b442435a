"""The net as the loop sees it: wrapped for mixed precision, its parameters in groups."""

from __future__ import annotations

import torch

from hft_core.components import ParamGroup
from hft_core.components.net import Net


class Forward(torch.nn.Module):
    """What accelerate wraps (mixed precision, data parallelism), so that the net itself stays plain."""

    def __init__(self, net: Net, copies: bool = False):
        """`copies`: give no views, for a change in place of one would cut it off from what watches the outputs."""
        super().__init__()
        self.net, self.copies = net, copies

    def forward(self, head: str, **arrays: torch.Tensor) -> dict[str, torch.Tensor]:
        """Run backbone and one head."""
        outputs: dict[str, torch.Tensor] = self.net(head, **arrays)
        if self.copies:
            return {name: output.clone() if output._is_view() else output for name, output in outputs.items()}
        return outputs


def parameter_groups(net: Net) -> list[ParamGroup]:
    """Two groups of what is trained: matrices, which weight decay applies to, and biases and normalisation, which it does not."""
    named = [(name, parameter) for name, parameter in net.named_parameters() if parameter.requires_grad]
    groups = []
    for decay in (True, False):
        chosen = [(name, parameter) for name, parameter in named if (parameter.ndim >= 2) == decay]
        groups.append(ParamGroup([name for name, _ in chosen], [parameter for _, parameter in chosen], decay=decay))
    return [group for group in groups if group.params]
