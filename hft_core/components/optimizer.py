"""Optimizer: how parameters follow their gradients."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from hft_core.components.base import Component

if TYPE_CHECKING:
    import torch


@dataclass
class ParamGroup:
    """Parameters that are treated alike."""

    names: list[str]
    """Their names in the net."""
    params: list[torch.nn.Parameter]
    """The parameters themselves, in the order of `names`."""
    lr_scale: float = 1.0
    """Factor of the learning rate."""
    decay: bool = True
    """Whether weight decay applies (not to biases and normalisation)."""


class Optimizer(Component):
    """Base of optimizers."""

    kind: ClassVar[str] = "optimizer"

    lr: float = Field(gt=0)
    """The peak learning rate; the schedule and a group's scale multiply it."""

    def untouched(self, lr: float) -> float | None:
        """The factor by which a step at rate `lr` scales a weight that has never had a gradient but 0, where decay applies.

        1: it stays as it is. None, the default: something else happens to it.
        """
        return None

    @abstractmethod
    def build(self, groups: Sequence[ParamGroup]) -> torch.optim.Optimizer:
        """Make the torch optimizer, one param group per group in the same order; the loop sets each `lr` before a step."""
