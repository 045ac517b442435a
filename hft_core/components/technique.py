"""Technique: a change of parameters, loss or weights, orthogonal to task and model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from hft_core.components.base import Component
from hft_core.components.model import Preprocessor
from hft_core.components.objective import Loss, Objective
from hft_core.components.optimizer import ParamGroup
from hft_core.components.task import HeadSpec

if TYPE_CHECKING:
    from hft_core.components.net import Net


@dataclass(frozen=True)
class Context:
    """What a technique may know of its stage before it begins."""

    steps: int
    """Optimizer steps of the stage."""
    seed: int
    """Where the stage's random numbers start."""
    heads: Mapping[str, HeadSpec]
    """The net's heads by name."""
    preprocessor: Preprocessor
    """What made the arrays of the batches."""


class Technique(Component):
    """Base of techniques; the first one listed is the innermost. Each method's default changes nothing.

    State lives in the object that `prepare` returns, not in the (frozen) component.
    """

    kind: ClassVar[str] = "technique"
    changes_modules: ClassVar[bool] = False
    """Whether `prepare` puts other modules into the net: it has to stand before techniques that know weights by name."""
    allows_compact_table: ClassVar[bool] = False
    """Whether it treats the rows of the embedding table alike and each for itself, so that the stage may train a table of
    only those rows that its data has."""
    excludes: ClassVar[frozenset[str]] = frozenset()
    """Types of techniques that the same stage cannot have besides; `hft check` refuses the pair. Two that change losses
    are a pair only where they change that of the same objective."""
    follows: ClassVar[frozenset[str]] = frozenset()
    """Types of techniques that have to stand before it, where the stage has them: it takes up what they leave."""
    repeatable: ClassVar[bool] = False
    """Whether several of its type make sense, for the same objective if it changes the loss: each adds to the others."""
    per_row: ClassVar[bool] = False
    """Whether it needs a loss that is a sum over rows or tokens: it cannot change that of an objective that couples rows."""

    on: list[str] | None = Field(default=None, min_length=1)
    """Names of the objectives whose loss it changes; default: those that train a task."""

    def applies(self, objective: Objective) -> bool:
        """Whether it changes this objective's loss: `on` names it (`task` names those of tasks), or it trains a task."""
        if self.on is None:
            return objective.trained_task is not None
        return objective.title in self.on or ("task" in self.on and objective.trained_task is not None)

    @classmethod
    def changes_loss(cls) -> bool:
        """Whether it has a say in the loss."""
        return cls.loss is not Technique.loss

    def prepare(self, net: Net, context: Context) -> Any:
        """Change the net before training and give the technique's state (anything; None where there is none).

        A parameter whose `requires_grad` it switches off is no part of the optimizer, and stays as it is. Raises
        RecipeError where it would change nothing.
        """
        return None

    def groups(self, net: Net, groups: list[ParamGroup]) -> list[ParamGroup]:
        """Rearrange the optimizer's parameter groups."""
        return groups

    def before_step(self, net: Net, state: Any, step: int) -> None:
        """Act before the step `step`, counted from 0: switch `requires_grad` of parameters that the optimizer has."""

    def loss(self, compute: Callable[..., Loss], batch: dict[str, Any], state: Any) -> Loss:
        """Compute the loss, by default ``compute(batch)``; may call it more than once.

        ``compute(batch, net=other)`` computes the objective's plain loss with another net that has the same heads.
        """
        return compute(batch)

    def after_step(self, net: Net, state: Any, step: int) -> None:
        """Act after the optimizer's step."""

    def averaged(self, net: Net, state: Any) -> AbstractContextManager[None]:
        """Give a context in which the net has the weights that evaluation, `best` and the stage's end see."""
        return nullcontext()

    def finish(self, net: Net, state: Any) -> None:
        """Give the net the form in which it is saved, with the weights that were chosen already in it."""

    def save(self, net: Net, state: Any, folder: Path) -> None:
        """Write what is worth keeping beside the model, after `finish`: files of its own below the model's `folder`."""

    def tensors(self, state: Any) -> dict[str, Any]:
        """Give the state's tensors for the checkpoint."""
        return {}

    def load(self, state: Any, tensors: dict[str, Any]) -> None:
        """Restore the state from a checkpoint's tensors, in place."""
