"""Lion: the sign of a momentum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from hft_core import Optimizer, ParamGroup, PluginError
from hft_plugins.optimizers.torch_optimizers import torch_groups

if TYPE_CHECKING:
    import torch


class Lion(Optimizer):
    """Steps of one size along the sign of a momentum (Chen et al. 2023), with decoupled weight decay.

    It keeps half of AdamW's state. The authors advise a rate 3 to 10 times lower than AdamW's, and a weight decay as many
    times higher. Needs the package lion-pytorch.
    """

    type: Literal["lion"]
    packages: ClassVar[tuple[str, ...]] = ("lion-pytorch",)
    beta1: float = Field(default=0.9, ge=0, lt=1)
    """Share of the momentum in the direction of a step."""
    beta2: float = Field(default=0.99, ge=0, lt=1)
    """Decay of the momentum."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Share of each weight that a step of rate 1 removes, not on biases and normalisation."""

    def build(self, groups: Sequence[ParamGroup]) -> torch.optim.Optimizer:
        """Make lion_pytorch.Lion. Raises PluginError where the package is missing."""
        try:
            from lion_pytorch import Lion as TorchLion
        except ImportError as error:
            raise PluginError(f'optimizer lion: {error}; run: pip install "hft-core[lion]"') from error
        optimizer: torch.optim.Optimizer = TorchLion(
            torch_groups(groups, self.weight_decay), lr=self.lr, betas=(self.beta1, self.beta2)
        )
        return optimizer
