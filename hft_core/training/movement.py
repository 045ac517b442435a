"""How far training has moved the weights: what tells a rate that does nothing from one that destroys."""

from __future__ import annotations

from collections.abc import Iterable

import torch

_SAMPLE = 4096  # numbers of each matrix: enough for a ratio of norms, and next to no memory or time


class Movement:
    """Remembers where the matrices among `parameters` start; vectors, such as biases, often start at zero."""

    def __init__(self, parameters: Iterable[torch.nn.Parameter]):
        self._matrices = [parameter for parameter in parameters if parameter.dim() > 1 and parameter.numel()]
        self._start = [_sample(matrix) for matrix in self._matrices]

    def share(self) -> float | None:
        """Give the distance from the start, relative to the size at the start; None where there is nothing to relate to."""
        size = sum(float(start.square().sum()) for start in self._start)
        moved = sum(
            float((_sample(matrix) - start).square().sum())
            for matrix, start in zip(self._matrices, self._start, strict=True)
        )
        return (moved / size) ** 0.5 if size else None


def _sample(matrix: torch.nn.Parameter) -> torch.Tensor:
    """Numbers at equal distances, as fp32 on the CPU; of a sharded matrix those of this process's part."""
    local = matrix.detach()
    local = local.to_local() if hasattr(local, "to_local") else local
    numbers = local.reshape(-1)
    return numbers[:: max(1, numbers.numel() // _SAMPLE)].float().cpu().clone()
