"""Counts the tokens that a training process computes, padding apart, and the time that it takes.

The same on all sides: the tokens are those that the word embedding looks up in training mode, from the end of the first
step (which starts the device up) to the end of the last one. Only at these two is the device waited for.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class _Moment:
    seconds: float
    computed: int
    real: int


class Meter:
    """From its making on, the embedding with `vocabulary` rows is watched; token 0 is padding."""

    def __init__(self, vocabulary: int):
        self._computed = 0
        self._real: torch.Tensor | int = 0
        self._moments: list[_Moment] = []
        self._steps = 0
        plain = torch.nn.Embedding.forward

        def watched(module: torch.nn.Embedding, input: torch.Tensor) -> torch.Tensor:
            if module.training and module.num_embeddings == vocabulary:
                self._computed += input.numel()
                self._real = self._real + (input != 0).sum()
            return plain(module, input)

        torch.nn.Embedding.forward = watched  # type: ignore[method-assign]  # this process is there to be measured

    def mark(self, step: int, steps: int) -> None:
        """Take note that a step, counted from 1, is done."""
        if step not in (1, steps):
            return
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self._moments.append(_Moment(time.perf_counter(), self._computed, int(self._real)))
        self._steps = steps - 1

    def figures(self) -> dict[str, Any]:
        """Give `timed_steps`, their `seconds`, `tokens` (real ones), `padding` (share of the computed), `gpu_mb` (peak)."""
        first, last = self._moments
        computed, real = last.computed - first.computed, last.real - first.real
        if not computed:
            raise RuntimeError("no token was counted: the word embedding has another number of rows")
        return {
            "timed_steps": self._steps,
            "seconds": last.seconds - first.seconds,
            "tokens": real,
            "padding": 1 - real / computed,
            "gpu_mb": round(torch.cuda.max_memory_allocated() / 1e6) if torch.cuda.is_available() else None,
        }
