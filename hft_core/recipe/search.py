"""A recipe's `search`: which fields take which values, and how long it goes on."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from hft_core.components import Settings


class Dimension(Settings):
    """A field that is searched: numbers from `low` to `high`, or one of `choices`."""

    low: int | float | None = None
    """The smallest value. Where both ends are written as whole numbers, only whole numbers are tried; write 1.0 for others."""
    high: int | float | None = None
    """The largest value."""
    log: bool = False
    """Whether ratios count and not differences, as with learning rates; `low` is then more than 0."""
    step: int | float | None = Field(default=None, gt=0)
    """The distance between values; default: 1 for whole numbers, none for others."""
    choices: list[Any] | None = None
    """The values, of any form that the field takes."""

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if self.choices is not None:
            if (self.low, self.high, self.step) != (None, None, None) or self.log:
                raise ValueError("`choices` stand alone; remove low, high, log and step, or remove the choices")
            if any(choice in self.choices[:place] for place, choice in enumerate(self.choices)):
                raise ValueError(f"one of the choices stands twice: {self.choices!r:.80}; remove it")
            if len(self.choices) < 2:
                raise ValueError(f"{self.choices!r:.60} leaves nothing to choose; give two choices at least")
            return self
        if self.low is None or self.high is None:
            raise ValueError("give `low` and `high`, or `choices`")
        if self.low >= self.high:
            kind = "is empty" if self.low == self.high else "stands the wrong way round"
            raise ValueError(f"the range from low {self.low:g} to high {self.high:g} {kind}; `low` is less than `high`")
        if self.log and self.low <= 0:
            raise ValueError(f"low {self.low:g} has no logarithm; with `log: true` it is more than 0")
        if self.log and self.step is not None:
            raise ValueError("a range with `log: true` has no `step`; remove one of the two")
        if self.step is not None and self.step > self.high - self.low:
            raise ValueError(
                f"step {self.step:g} is longer than the range from {self.low:g} to {self.high:g}; lower it"
            )
        if self.whole and self.high - self.low == 1:
            raise ValueError(
                f"low {self.low} and high {self.high} are whole numbers with none between them; write {self.low}.0 for "
                f"others too, or choices: [{self.low}, {self.high}]"
            )
        return self

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are tried."""
        return isinstance(self.low, int) and isinstance(self.high, int) and not isinstance(self.step, float)


class Search(Settings):
    """What `hft search` tries, and how long; all other commands take the recipe as it is written."""

    space: dict[str, Dimension] = Field(min_length=1)
    """The fields by their places in the recipe, such as `stages.1.optimizer.lr`; lists count from 0."""
    trials: int | None = Field(default=None, ge=1)
    """How many trials at most, over all tries of the command; default: 20, or with `minutes` no limit."""
    minutes: float | None = Field(default=None, gt=0)
    """No trial begins that would end after so many minutes of the command; the first one always does."""
    metric: str | None = None
    """The figure on validation that decides, also which epoch is the best; default: `evaluate.best`."""
    prune: Literal["median"] | None = "median"
    """`median` ends a trial once its best figure is worse than the median of the complete ones at the same epoch (five of them
    at least); null lets all go to their end."""
    workers: int = Field(default=1, ge=1, le=64)
    """How many trials at a time, each a process of its own."""
    study: str | None = Field(default=None, pattern=r"^[\w][\w.\-]{0,80}$")
    """The name that the trials are kept under; default: the recipe's name."""

    @property
    def limit(self) -> int | None:
        """How many trials at most; None for as many as the minutes allow."""
        return self.trials if self.trials is not None or self.minutes is not None else 20
