"""Two torch optimizers that look like one. Imports torch; reached only when something is built."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

import torch

Make = Callable[[list[dict[str, Any]]], torch.optim.Optimizer]


class Split(torch.optim.Optimizer):
    """Gives each parameter to one of two optimizers; groups, rates and state are in one place, as torch saves them."""

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        lr: float,
        first: Collection[torch.nn.Parameter],
        make_first: Make,
        make_second: Make,
    ):
        """`first`: the first optimizer's parameters. Each is made of param groups with its own parameters only."""
        # `fused` has load_state_dict put AdamW's step counters where its fused kernel wants them: on the device.
        super().__init__(groups, {"lr": lr, "fused": True})
        self._parts: list[tuple[torch.optim.Optimizer, list[int]]] = []
        """Each optimizer, and the places of the groups that its own are parts of."""
        for make, is_first in ((make_first, True), (make_second, False)):
            own = {
                place: [parameter for parameter in group["params"] if (parameter in first) == is_first]
                for place, group in enumerate(self.param_groups)
            }
            places = [place for place, parameters in own.items() if parameters]
            if places:
                parts = [
                    {"params": own[place], "weight_decay": self.param_groups[place]["weight_decay"]} for place in places
                ]
                self._parts.append((make(parts), places))

    def step(self, closure: None = None) -> None:  # type: ignore[override]  # nothing here evaluates a closure
        """Let both step, with the rates of the groups as they are now."""
        for optimizer, places in self._parts:
            optimizer.state = self.state  # loading replaces it
            for group, place in zip(optimizer.param_groups, places, strict=True):
                group["lr"] = self.param_groups[place]["lr"]
            optimizer.step()
