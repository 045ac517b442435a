"""Muon for the matrices of the layers, AdamW for everything else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator

from hft_core import Optimizer, ParamGroup, PluginError, RecipeError
from hft_plugins.optimizers.torch_optimizers import torch_groups

if TYPE_CHECKING:
    import torch

_IN_A_STACK = r"^(?!_?heads?\.).*\.\d+\..*"


class Muon(Optimizer):
    """Orthogonalised momentum for the matrices of the layers (Jordan et al. 2024); AdamW for all other parameters.

    Steps are scaled to the size of AdamW's (Liu et al. 2025, "Muon is scalable for LLM training"), so that one learning
    rate and one weight decay, those of AdamW, serve both. Embeddings, heads, biases and normalisation are AdamW's.
    Needs torch 2.9 or newer.
    """

    type: Literal["muon"]
    momentum: float = Field(default=0.95, ge=0, lt=1)
    """Share of the last direction that is kept (Muon)."""
    nesterov: bool = True
    """Look ahead along the momentum (Muon)."""
    iterations: int = Field(default=5, ge=1, lt=100)
    """Newton-Schulz iterations that orthogonalise a step (Muon)."""
    beta1: float = Field(default=0.9, ge=0, lt=1)
    """Decay of the mean of gradients (AdamW)."""
    beta2: float = Field(default=0.999, ge=0, lt=1)
    """Decay of the mean of squared gradients (AdamW)."""
    eps: float = Field(default=1e-8, gt=0)
    """Added to the denominator (AdamW)."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Share of each weight that a step of rate 1 removes, not on biases and normalisation (both)."""
    matrices: str = _IN_A_STACK
    """Regular expression of the names of the matrices that are Muon's. Default: those with a number in their name, as the
    layers of a stack have, outside of heads."""

    @field_validator("matrices")
    @classmethod
    def _expression(cls, matrices: str) -> str:
        try:
            re.compile(matrices)
        except re.error as error:
            raise ValueError(f"{matrices!r} is no regular expression: {error}") from error
        return matrices

    def build(self, groups: Sequence[ParamGroup]) -> torch.optim.Optimizer:
        """Make the two optimizers under one. Raises RecipeError where no matrix would be Muon's."""
        import torch

        if not hasattr(torch.optim, "Muon"):
            raise PluginError(f"optimizer muon: needs torch 2.9 or newer, found {torch.__version__}; update it")
        from hft_plugins.optimizers.split import Split

        known = [(n, p) for group in groups for n, p in zip(group.names, group.params, strict=True) if p.ndim == 2]
        matrices = {parameter for name, parameter in known if re.search(self.matrices, name)}
        if not matrices:
            listed = ", ".join(name for name, _ in known[:12])
            raise RecipeError(
                f"optimizer muon: no matrix that is trained has a name that fits {self.matrices!r}; there are "
                f"{listed or 'no matrices'}. Set `matrices:`, or take the optimizer adamw"
            )
        return Split(
            torch_groups(groups, self.weight_decay),
            lr=self.lr,
            first=matrices,
            make_first=lambda part: torch.optim.Muon(
                part,
                lr=self.lr,
                momentum=self.momentum,
                nesterov=self.nesterov,
                ns_steps=self.iterations,
                adjust_lr_fn="match_rms_adamw",
            ),
            make_second=lambda part: torch.optim.AdamW(
                part, lr=self.lr, betas=(self.beta1, self.beta2), eps=self.eps, fused=True
            ),
        )
