"""Running out of memory: told from other errors, and answered with smaller micro-batches."""

from __future__ import annotations

import torch

from hft_core.components import Objective
from hft_core.errors import OutOfMemoryError
from hft_core.runtime.batching import TOKENS

_SAID = ("out of memory", "can't allocate memory", "STATUS_ALLOC_FAILED")  # the last is cuBLAS's and cuDNN's


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory did not suffice, on the GPU or beside it."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _SAID)


def memory_error(what: str) -> OutOfMemoryError:
    """The error for what no smaller micro-batch helps: `what` says what does not fit."""
    return OutOfMemoryError(
        f"{what} fit into memory; set a smaller `batch_size` or the model's `max_length`, take a smaller model, or train fewer "
        "parameters (`lora`, `freeze`)"
    )


def release() -> None:
    """Give what torch keeps for itself back to the device."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def tokens_of_a_pass(objective: Objective, micro_batch: int | None) -> int | None:
    """How many tokens, padding included, a forward pass of several rows has at most; None: as many as its rows have.

    On a CPU there is a limit, unless the recipe says how many rows a pass has. Where rows couple, each further pass would cost
    a second forward pass, so there is none.
    """
    limited = micro_batch is None and not objective.couples and not torch.cuda.is_available()
    return TOKENS if limited else None
