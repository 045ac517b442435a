"""How much each token of one model input speaks for a score: integrated gradients and occlusion, computed by captum."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from captum.attr import IntegratedGradients, Occlusion
from numpy.typing import NDArray

from hft_core import Net, PluginError
from hft_explain.targets import Score

_AT_ONCE = 32
"""Variants of an input that go through the net together."""
_DOUBLINGS = 4
TOLERANCE = 0.05
"""Share of the scores, or of their difference, that the sum of integrated gradients may miss before steps are doubled."""
Change = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Attribution:
    """What the tokens of one input count."""

    tokens: NDArray[np.float64]
    """[length], in the unit of the score."""
    score: float
    """Of the input."""
    baseline: float
    """Of the input without the tokens that are explained."""
    error: float | None
    """Sum of the tokens less the difference of the two scores; None where no method promises that to be 0."""


class Subject:
    """One score of one input of a net, of which some tokens can be taken away."""

    def __init__(self, net: Net, head: str, inputs: Mapping[str, NDArray[Any]], score: Score, own: NDArray[np.bool_]):
        """`inputs`: a padded batch of one; `own`: tokens that can be taken away, bool [length]."""
        self.net, self.head, self._score = net, head, score
        self.device = next(net.parameters()).device
        self._inputs = {
            name: torch.from_numpy(np.ascontiguousarray(array)).to(self.device) for name, array in inputs.items()
        }
        self.own = torch.from_numpy(own).to(self.device)

    @property
    def ids(self) -> torch.Tensor:
        """The tokens, int64 [1, length]."""
        return self._inputs["input_ids"]

    def without(self, token: int) -> torch.Tensor:
        """The tokens with `token` in place of those that can be taken away."""
        return torch.where(self.own, torch.full_like(self.ids, token), self.ids)

    def score(self, ids: torch.Tensor, change: Change | None = None) -> torch.Tensor:
        """Give the score of each variant of the tokens [variants, length]; `change` of what the embedding layer gives."""
        inputs = {name: array.expand(len(ids), *array.shape[1:]) for name, array in self._inputs.items()}
        with _embedding_changed(self.net, change):
            found: torch.Tensor = self._score(self.net.run(self.head, "model", **(inputs | {"input_ids": ids})))
        return found

    def vectors(self, ids: torch.Tensor) -> torch.Tensor:
        """Give what the embedding layer makes of the tokens, [1, length, width]."""
        seen: list[torch.Tensor] = []

        def watch(vectors: torch.Tensor) -> torch.Tensor:
            seen.append(vectors.detach())
            return vectors

        with torch.no_grad():
            self.score(ids, watch)
        return seen[0]


def integrated_gradients(subject: Subject, baseline: int | None, steps: int) -> Attribution:
    """Integrate the gradient by the embeddings from a text without tokens to this one (Sundararajan et al. 2017).

    `baseline` is the token that stands for one that is not there; None: an embedding of zeros. `steps` are doubled, at most
    four times, until the sum is complete within 5 %.
    """
    ids = subject.ids
    vectors = subject.vectors(ids)
    nothing = torch.zeros_like(vectors) if baseline is None else subject.vectors(subject.without(baseline))
    start = torch.where(subject.own[:, None], nothing, vectors)

    def score(changed: torch.Tensor) -> torch.Tensor:
        return subject.score(ids.expand(len(changed), -1), lambda _: changed)

    with torch.no_grad():
        here, there = float(score(vectors)), float(score(start))
    method = IntegratedGradients(score)
    for number in [steps * 2**doubled for doubled in range(_DOUBLINGS + 1)]:
        with torch.enable_grad():
            found = method.attribute(vectors, start, n_steps=number, internal_batch_size=_AT_ONCE)
        tokens = _numbers(found.sum(dim=-1)[0])
        error = float(tokens.sum() - (here - there))
        if abs(error) <= TOLERANCE * max(abs(here - there), abs(here), abs(there)):
            break
    return Attribution(tokens, here, there, error)


def occlusion(subject: Subject, baseline: int, window: int) -> Attribution:
    """Hide each window of tokens in turn, and see what the score loses (Zeiler & Fergus 2014)."""
    ids, nothing = subject.ids, subject.without(baseline)
    method = Occlusion(subject.score)
    with torch.no_grad():
        width = min(window, ids.shape[1])
        found = method.attribute(ids, (width,), baselines=nothing, perturbations_per_eval=_AT_ONCE)
        here, there = float(subject.score(ids)), float(subject.score(nothing))
    return Attribution(_numbers(found[0]), here, there, None)


def _numbers(values: torch.Tensor) -> NDArray[np.float64]:
    numbers: NDArray[np.float64] = values.detach().double().cpu().numpy()
    return numbers


@contextmanager
def _embedding_changed(net: Net, change: Change | None) -> Iterator[None]:
    """Replace what the embedding layer gives. Raises PluginError where a pass does not go through it exactly once."""
    if change is None:
        yield
        return
    layer = net.embedding()
    if layer is None:
        raise PluginError(
            "integrated gradients need an embedding layer, and this model gives none; write `method: occlusion`"
        )
    calls = 0

    def hook(module: Any, args: Any, output: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return change(output)

    handle = layer.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()
    if calls != 1:
        raise PluginError(
            f"integrated gradients: this model goes {calls} times through what it calls its embedding layer, not once; "
            "write `method: occlusion`"
        )
