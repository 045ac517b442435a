"""Checks of optimizers."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from hft_core.components import Optimizer, ParamGroup
from hft_core.testing.subject import Subject, Unchecked

if TYPE_CHECKING:
    import torch

_STEPS = 60


def lowers_a_quadratic(subject: Subject) -> None:
    """Sixty steps bring a quadratic of a matrix and a vector below a fifth of what it was."""
    first, last = _train(*_ready(subject), steps=_STEPS)
    assert last < first / 5, f"{_STEPS} steps brought the quadratic from {first:.3g} to {last:.3g}"


def has_a_group_for_each(subject: Subject) -> None:
    """`build` gives a torch optimizer with one group for each that it was given, in the same order."""
    import torch

    groups = _groups()
    built = _make(subject).build(groups)
    assert isinstance(built, torch.optim.Optimizer), (
        f"build() has to give a torch optimizer, found {type(built).__name__}"
    )
    assert len(built.param_groups) == len(groups), f"{len(built.param_groups)} groups were made of {len(groups)}"
    for own, given in zip(built.param_groups, groups, strict=True):
        same = len(own["params"]) == len(given.params)
        same = same and all(one is other for one, other in zip(own["params"], given.params, strict=True))
        assert same, f"the group of {', '.join(given.names)} has other parameters"


def restores_from_its_state(subject: Subject) -> None:
    """Interrupted and restored from `state_dict`, it goes on to the same bits."""
    parameters, optimizer = _ready(subject)
    _train(parameters, optimizer, steps=5)
    state, weights = copy.deepcopy(optimizer.state_dict()), [p.detach().clone() for p in parameters]
    _train(parameters, optimizer, steps=5)
    again, restored = _ready(subject)
    for parameter, weight in zip(again, weights, strict=True):
        parameter.data.copy_(weight)
    restored.load_state_dict(state)
    _train(again, restored, steps=5)
    for one, other in zip(parameters, again, strict=True):
        assert one.equal(other), "restored from its state it goes another way; everything it remembers belongs into it"


def follows_the_rate(subject: Subject) -> None:
    """At the rate 0, which a schedule may set, nothing moves."""
    parameters, optimizer = _ready(subject)
    before = [parameter.detach().clone() for parameter in parameters]
    _train(parameters, optimizer, steps=2, lr=0.0)
    for one, other in zip(before, parameters, strict=True):
        assert one.equal(other), 'weights move at the rate 0; take the rate from the group\'s "lr"'


def says_what_it_does_to_untouched_weights(subject: Subject) -> None:
    """A weight whose gradient has always been 0 is scaled by what `untouched` says."""
    optimizer = _make(subject)
    factor = optimizer.untouched(optimizer.lr)
    if factor is None:
        raise Unchecked("it does not say what happens to them")
    groups = _groups()
    parameters = [parameter for group in groups for parameter in group.params]
    before = groups[0].params[0].detach().clone()
    for parameter in parameters:
        parameter.grad = parameter.detach() * 0
    optimizer.build(groups).step()
    found = groups[0].params[0].detach()
    assert found.allclose(before * factor, rtol=1e-6), (
        f"untouched() says {factor}, but the weights became {found / before}"
    )


def _make(subject: Subject) -> Optimizer:
    made: Optimizer = subject.make()
    return made


def _ready(subject: Subject) -> tuple[list[torch.nn.Parameter], torch.optim.Optimizer]:
    groups = _groups()
    return [parameter for group in groups for parameter in group.params], _make(subject).build(groups)


def _groups() -> list[ParamGroup]:
    """A matrix, which decays, and a vector, which does not; always the same."""
    import torch

    draw = torch.Generator().manual_seed(0)
    matrix, vector = (torch.nn.Parameter(torch.randn(shape, generator=draw)) for shape in ((4, 3), (3,)))
    return [ParamGroup(["layer.weight"], [matrix], decay=True), ParamGroup(["layer.bias"], [vector], decay=False)]


def _train(
    parameters: list[torch.nn.Parameter], optimizer: Any, steps: int, lr: float | None = None
) -> tuple[float, float]:
    """Go down a quadratic with its least value at 0.1 everywhere; gives its value before and after."""

    def value() -> torch.Tensor:
        total: torch.Tensor = sum(((parameter - 0.1) ** 2).sum() for parameter in parameters)  # type: ignore[assignment]  # never 0
        return total

    first = float(value().detach())
    for _ in range(steps):
        if lr is not None:
            for group in optimizer.param_groups:
                group["lr"] = lr
        optimizer.zero_grad(set_to_none=True)
        value().backward()  # type: ignore[no-untyped-call]  # by torch
        optimizer.step()
    return first, float(value().detach())


CHECKS = (
    lowers_a_quadratic,
    has_a_group_for_each,
    restores_from_its_state,
    follows_the_rate,
    says_what_it_does_to_untouched_weights,
)
