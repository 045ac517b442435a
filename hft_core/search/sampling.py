"""How the values of a trial are drawn, and when a trial is ended early: nothing here keeps a state of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any

from hft_core.recipe.search import Dimension
from hft_core.search.space import at, label, meant, place, points, rounded, size
from hft_core.store.hashing import digest_json

if TYPE_CHECKING:
    import optuna


_DRAWS = 8
"""How often the values of a trial are drawn in a space of few points, while they are those of another."""


def distribution(dimension: Dimension) -> optuna.distributions.BaseDistribution:
    """Give what Optuna draws the values of a field from."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if dimension.choices is not None:
        return CategoricalDistribution([label(choice) for choice in dimension.choices])
    assert dimension.low is not None
    assert dimension.high is not None
    if dimension.whole:
        step = int(dimension.step or 1)
        low, high = int(dimension.low), int(dimension.high)
        return IntDistribution(low, high - (high - low) % step, log=dimension.log, step=step)
    start, end = float(dimension.low), float(dimension.high)
    if dimension.step is not None:
        end = start + int((end - start) / dimension.step + 1e-9) * dimension.step
    return FloatDistribution(start, end, log=dimension.log, step=dimension.step)


def labels(space: Mapping[str, Dimension], values: Mapping[str, Any]) -> dict[str, Any]:
    """Give the recipe's own values as a study has them."""
    return {
        path: label(value) if dimension.choices is not None else value if dimension.whole else float(value)
        for path, dimension in space.items()
        for value in [values[path]]
    }


def sampler(space: Mapping[str, Dimension], own: Mapping[str, Any] | None, seed: int) -> optuna.samplers.BaseSampler:
    """Make a sampler that draws all values of a trial at once, as a function of its number and of the trials before it."""
    from optuna.samplers import BaseSampler, TPESampler

    distributions = {path: distribution(dimension) for path, dimension in space.items()}

    class Fresh(BaseSampler):
        """A new TPE sampler (Bergstra et al. 2011) for each trial; the first one has the recipe's own values.

        In a space of few points it proposes good ones again and again: what was tried is drawn anew, and at last replaced by a
        point that was not.
        """

        def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
            return dict(distributions)

        def sample_relative(self, study: Any, trial: Any, search_space: dict[str, Any]) -> dict[str, Any]:
            if trial.number == 0 and own is not None:
                return labels(space, own)
            found = self._new(study, trial)
            return {path: rounded(dimension, found[path]) for path, dimension in space.items()}

        def _new(self, study: Any, trial: Any) -> dict[str, Any]:
            tried = _tried(space, study.get_trials(deepcopy=False)[: trial.number])
            for draw in range(_DRAWS):
                found = self._drawn(study, trial, [seed, trial.number, *([draw] if draw else [])])
                if tried is None or _places(space, found) not in tried:
                    return found
            return _untried(space, tried or set(), int(digest_json([seed, trial.number])[:8], 16)) or found

        def _drawn(self, study: Any, trial: Any, key: list[int]) -> dict[str, Any]:
            tpe = TPESampler(seed=int(digest_json(key)[:8], 16))
            found: dict[str, Any] = tpe.sample_relative(study, trial, tpe.infer_relative_search_space(study, trial))
            for name, one in distributions.items():
                if name not in found:
                    found[name] = tpe.sample_independent(study, trial, name, one)
            return found

        def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
            raise AssertionError  # `sample_relative` gives all

    return Fresh()


def _tried(space: Mapping[str, Dimension], trials: Sequence[optuna.trial.FrozenTrial]) -> set[tuple[int, ...]] | None:
    """The points of trials that have not failed; None in a space with no end of points."""
    if points(space) is None:
        return None
    return {
        _places(space, trial.params)
        for trial in trials
        if trial.state.name != "FAIL" and all(path in trial.params for path in space)
    }


def _places(space: Mapping[str, Dimension], found: Mapping[str, Any]) -> tuple[int, ...]:
    """A point by the places of its values."""
    return tuple(place(dimension, meant(dimension, found[path])) for path, dimension in space.items())


def _untried(space: Mapping[str, Dimension], tried: AbstractSet[tuple[int, ...]], start: int) -> dict[str, Any] | None:
    """The first point from the one with the number `start` on that was not tried, as a study has it; None without any."""
    total = points(space) or 0
    for number in range(start, start + min(total, len(tried) + 1)):
        rest, point = number % total, []
        for dimension in space.values():
            rest, one = divmod(rest, size(dimension) or 1)
            point.append(one)
        if tuple(point) not in tried:
            values = {path: at(dimension, one) for (path, dimension), one in zip(space.items(), point, strict=True)}
            return labels(space, values)
    return None


def pruner(prune: str | None) -> optuna.pruners.BasePruner:
    """Make a pruner: one that keeps nothing of its own in the study, so that a killed search decides as it would have."""
    from optuna.pruners import MedianPruner, NopPruner

    return MedianPruner(n_startup_trials=5) if prune == "median" else NopPruner()
