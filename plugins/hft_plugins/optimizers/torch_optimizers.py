"""SGD, Adam and AdamW of torch, fused where torch has a fused kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from hft_core import Optimizer, ParamGroup

if TYPE_CHECKING:
    import torch


def torch_groups(groups: Sequence[ParamGroup], weight_decay: float) -> list[dict[str, Any]]:
    """Give torch's param groups, in the same order; `weight_decay` applies where a group says so."""
    return [{"params": group.params, "weight_decay": weight_decay if group.decay else 0.0} for group in groups]


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum if asked."""

    type: Literal["sgd"]
    momentum: float = Field(default=0.0, ge=0, lt=1)
    """Share of the last update that is kept."""
    nesterov: bool = False
    """Look ahead along the momentum; needs a momentum above 0."""
    weight_decay: float = Field(default=0.0, ge=0)
    """L2 penalty, not on biases and normalisation."""

    def untouched(self, lr: float) -> float | None:
        """A penalty is a gradient, too."""
        return 1.0 if not self.weight_decay else None

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> Self:
        if self.nesterov and not self.momentum:
            raise ValueError("`nesterov: true` looks ahead along the momentum; set `momentum:` above 0, such as 0.9")
        return self

    def build(self, groups: Sequence[ParamGroup]) -> torch.optim.Optimizer:
        """Make torch.optim.SGD."""
        from torch.optim import SGD as TorchSGD

        return TorchSGD(
            torch_groups(groups, self.weight_decay),
            lr=self.lr,
            momentum=self.momentum,
            nesterov=self.nesterov,
        )


class _AdamFields(Optimizer):
    """What Adam and AdamW share."""

    beta1: float = Field(default=0.9, ge=0, lt=1)
    """Decay of the mean of gradients."""
    beta2: float = Field(default=0.999, ge=0, lt=1)
    """Decay of the mean of squared gradients."""
    eps: float = Field(default=1e-8, gt=0)
    """Added to the denominator."""


class Adam(_AdamFields):
    """Adam with bias correction (Kingma & Ba 2015); a weight decay is an L2 penalty."""

    type: Literal["adam"]
    weight_decay: float = Field(default=0.0, ge=0)
    """L2 penalty added to the gradient, not on biases and normalisation."""

    def untouched(self, lr: float) -> float | None:
        """A penalty is a gradient, too."""
        return 1.0 if not self.weight_decay else None

    def build(self, groups: Sequence[ParamGroup]) -> torch.optim.Optimizer:
        """Make torch.optim.Adam."""
        from torch.optim import Adam as TorchAdam

        return TorchAdam(
            torch_groups(groups, self.weight_decay),
            lr=self.lr,
            betas=(self.beta1, self.beta2),
            eps=self.eps,
            fused=True,
        )


class AdamW(_AdamFields):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019), bias-corrected."""

    type: Literal["adamw"]
    weight_decay: float = Field(default=0.01, ge=0)
    """Share of each weight that a step of rate 1 removes, not on biases and normalisation."""

    def untouched(self, lr: float) -> float:
        """Only decay."""
        return 1 - lr * self.weight_decay

    def build(self, groups: Sequence[ParamGroup]) -> torch.optim.Optimizer:
        """Make torch.optim.AdamW."""
        from torch.optim import AdamW as TorchAdamW

        return TorchAdamW(
            torch_groups(groups, self.weight_decay),
            lr=self.lr,
            betas=(self.beta1, self.beta2),
            eps=self.eps,
            fused=True,
        )
