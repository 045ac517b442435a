"""Checks of techniques."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hft_core.components import Context, Loss, Technique
from hft_core.testing.steps import Batch, batch, encoded, parameters, plain_loss, tensors
from hft_core.testing.subject import HEAD, Subject

if TYPE_CHECKING:
    from hft_core.components.net import Net

_STEPS = 4


class _Stage(NamedTuple):
    """A technique at work on a net."""

    technique: Technique
    net: Net
    state: Any
    groups: list[Any]
    optimizer: Any = None


def trains_with_finite_losses(subject: Subject) -> None:
    """Four steps of training go through, with losses that are finite numbers."""
    import torch

    stage, made = _begin(subject), batch(subject, encoded(subject))
    for step in range(_STEPS):
        loss = _step(subject, stage, made, step)
        assert torch.isfinite(loss.sum), f"the loss is {float(loss.sum.detach())} at step {step}"


def keeps_each_weight_in_one_group(subject: Subject) -> None:
    """`groups` leaves every weight that is trained in exactly one group."""
    stage = _prepared(subject)
    found = [id(parameter) for group in stage.groups for parameter in group.params]
    assert len(found) == len(set(found)), "a weight lies in two groups"
    trained = {id(parameter) for parameter in stage.net.parameters() if parameter.requires_grad}
    assert set(found) <= trained, "a group holds a weight that is not trained, or not the net's"
    for group in stage.groups:
        assert len(group.names) == len(group.params), "a group's `names` and `params` have to be equally long"


def restores_its_state(subject: Subject) -> None:
    """Interrupted and restored from its `tensors`, it goes on to the same bits."""
    made = batch(subject, encoded(subject))
    stage = _begin(subject)
    _steps(subject, stage, made, 0, _STEPS)
    state = {name: tensor.detach().clone() for name, tensor in stage.technique.tensors(stage.state).items()}
    weights = parameters(stage.net)
    _steps(subject, stage, made, _STEPS, 2 * _STEPS)

    again = _begin(subject)
    again.net.load_state_dict(weights)
    again.technique.load(again.state, state)
    _steps(subject, again, made, _STEPS, 2 * _STEPS)
    with stage.technique.averaged(stage.net, stage.state), again.technique.averaged(again.net, again.state):
        one, other = parameters(stage.net), parameters(again.net)
    assert one.keys() == other.keys(), "restored, its net has other weights"
    for name, tensor in one.items():
        assert tensor.equal(other[name]), (
            f"restored from its state, {name} comes out otherwise; `tensors` has to give all of it"
        )


def gives_the_weights_back(subject: Subject) -> None:
    """After `averaged`, in which evaluation sees other weights, training's are there again, to the bit."""
    stage, made = _begin(subject), batch(subject, encoded(subject))
    _steps(subject, stage, made, 0, _STEPS)
    before = parameters(stage.net)
    with stage.technique.averaged(stage.net, stage.state):
        pass
    for name, tensor in parameters(stage.net).items():
        assert tensor.equal(before[name]), f"averaged() leaves {name} other than it was"


def leaves_a_model_that_can_be_saved(subject: Subject) -> None:
    """After `finish`, the net is saved, and what the model builds of it computes the same."""
    import torch

    stage, made = _begin(subject), batch(subject, encoded(subject))
    _steps(subject, stage, made, 0, _STEPS)
    stage.technique.finish(stage.net, stage.state)
    with tempfile.TemporaryDirectory(prefix="hft-check-") as folder:
        stage.net.save(Path(folder))
        stage.technique.save(stage.net, stage.state, Path(folder))
        subject.preprocessor.save(Path(folder))
        again = subject.model.build(Path(folder), subject.preprocessor, {HEAD: subject.head()})
        with torch.no_grad():
            one, other = (plain_loss(subject.objective, net.eval())(tensors(made)).sum for net in (stage.net, again))
    assert torch.allclose(one, other, rtol=1e-4), (
        f"the finished net has the loss {float(one):.6g}, the saved one {float(other):.6g}"
    )


def _begin(subject: Subject) -> _Stage:
    """The technique on a new net, always the same, with an optimizer."""
    import torch

    stage = _prepared(subject)
    optimizer = torch.optim.SGD([{"params": group.params, "lr": 0.05 * group.lr_scale} for group in stage.groups])
    return stage._replace(optimizer=optimizer)


def _prepared(subject: Subject) -> _Stage:
    import torch

    from hft_core.training.module import parameter_groups

    technique: Technique = subject.make()
    net = subject.net().train()
    context = Context(steps=2 * _STEPS, seed=0, heads={HEAD: subject.head()}, preprocessor=subject.preprocessor)
    torch.manual_seed(1)
    state = technique.prepare(net, context)
    return _Stage(technique, net, state, technique.groups(net, parameter_groups(net)))


def _steps(subject: Subject, stage: _Stage, made: Batch, first: int, last: int) -> None:
    for step in range(first, last):
        _step(subject, stage, made, step)


def _step(subject: Subject, stage: _Stage, made: Batch, step: int) -> Loss:
    """One step, with all that the loop asks of a technique."""
    import torch

    torch.manual_seed(step)
    stage.technique.before_step(stage.net, stage.state, step)
    stage.optimizer.zero_grad(set_to_none=True)
    loss = stage.technique.loss(plain_loss(subject.objective, stage.net), tensors(made), stage.state)
    (loss.sum / subject.objective.count(made)).backward()  # type: ignore[no-untyped-call]  # by torch
    stage.optimizer.step()
    stage.technique.after_step(stage.net, stage.state, step + 1)
    return loss


CHECKS = (
    trains_with_finite_losses,
    keeps_each_weight_in_one_group,
    restores_its_state,
    gives_the_weights_back,
    leaves_a_model_that_can_be_saved,
)
