"""The processes that train together: sums over them, and who writes.

Each optimizer step adds up the gradients of all processes once, when all its micro-batches and objectives are done.
DistributedDataParallel does it within each backward pass, which suits one loss over one set of parameters: here heads
take turns, and a pass that does not reach one would leave its gradient unsummed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs, broadcast_object_list, gather_object

T = TypeVar("T")

PATIENT = InitProcessGroupKwargs(timeout=timedelta(hours=12))
"""What fails is told beside the collectives (see pipeline/ranks.py); their own limit would only end what is slow, such as
the first process writing a large checkpoint."""
_BUCKET = 25_000_000  # numbers that are added up in one message


class Processes:
    """What a process knows of the others; with one process everything is as it was."""

    def __init__(self, accelerator: Accelerator):
        self._accelerator = accelerator
        self.index: int = accelerator.process_index
        self.count: int = accelerator.num_processes

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.index == 0

    def wait(self) -> None:
        """Wait until all are here."""
        self._accelerator.wait_for_everyone()

    def agreed(self, value: T) -> T:
        """Give every process the first one's value; what is decided by it is decided alike, however they round."""
        if self.count == 1:
            return value
        values: list[T] = broadcast_object_list([value])
        return values[0]

    def of_first(self, find: Callable[[], T]) -> T | None:
        """Give every process what the first one finds; the others do not look."""
        return self.agreed(find() if self.first else None)

    def sums(self, values: Sequence[float]) -> list[float]:
        """Add up each number over all processes."""
        if self.count == 1:
            return list(values)
        total: torch.Tensor = self._accelerator.reduce(
            torch.tensor(values, dtype=torch.float64, device=self._accelerator.device), "sum"
        )
        return total.tolist()

    def add_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Give every process the sum of all gradients; a parameter that none has a gradient for keeps none."""
        if self.count == 1:
            return
        parameters = list(parameters)
        used = self.sums([float(parameter.grad is not None) for parameter in parameters])
        bucket: list[torch.Tensor] = []
        for parameter, users in zip(parameters, used, strict=True):
            if not users:
                continue
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            bucket.append(parameter.grad)
            if sum(map(torch.numel, bucket)) >= _BUCKET:
                self._add(bucket)
                bucket = []
        self._add(bucket)

    def _add(self, gradients: Sequence[torch.Tensor]) -> None:
        if not gradients:
            return
        flat = self._accelerator.reduce(torch.cat([gradient.reshape(-1) for gradient in gradients]), "sum")
        for gradient, piece in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(piece.view_as(gradient))

    def together(self, rows: dict[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], int]:
        """Put the rows of all processes behind one another, by name; gives the position of this process's first row."""
        if self.count == 1:
            return rows, 0
        every = gather_object([{name: tensor.cpu() for name, tensor in rows.items()}])
        names = next(part for part in every if part)
        sizes = [len(next(iter(part.values()))) if part else 0 for part in every]
        device = self._accelerator.device
        whole = {name: torch.cat([part[name] for part in every if part]).to(device) for name in names}
        return whole, sum(sizes[: self.index])
