"""What techniques share that compute a loss more than once: hooks on the embeddings, and passes with the same draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from hft_core import PluginError, RecipeError

if TYPE_CHECKING:
    import torch

    from hft_core import Net


def embedding_of(net: Net, technique: str) -> torch.nn.Module:
    """Give the net's embedding layer. Raises RecipeError where it has none."""
    layer = net.embedding()
    if layer is None:
        parts = ", ".join(part.name for part in net.parts())
        raise RecipeError(
            f"technique {technique}: this model gives no embedding layer to change (its parts are {parts}); remove the "
            "technique, or take a model whose net has `embedding()`"
        )
    return layer


@contextmanager
def embedding_changed(net: Net, technique: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Iterator[None]:
    """Replace what the embedding layer gives by ``change(vectors)``, as often as it is called; vectors [rows, length, width].

    Where several do so, the one that began first sees the vectors first. Raises PluginError where it was never called.
    """
    calls = 0

    def hook(module: Any, args: Any, output: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return change(output)

    handle = embedding_of(net, technique).register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()
    if not calls:
        raise PluginError(
            f"technique {technique}: an objective's pass does not go through the layer that the net calls its embedding; "
            "name in `on:` only objectives that do"
        )


def draws_again(batch: Mapping[str, torch.Tensor]) -> AbstractContextManager[None]:
    """Give a context after which torch's random numbers are where they were before: the next pass has the same dropout."""
    import torch

    device = next(iter(batch.values())).device
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])
