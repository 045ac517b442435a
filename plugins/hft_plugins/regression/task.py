"""The task `regression`: a number per text, or per pair of texts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np

from hft_core import Arrays, Columns, DataError, Facts, HeadSpec, Prediction, Roles
from hft_plugins.text_classification.texts import TextsTask, no_column

_TARGET_NAMES = ("score", "rating", "target", "value", "label", "similarity", "stars", "评分", "得分", "分数", "星级")


class Regression(TextsTask):
    """A number per text, or per pair of texts: a rating, a price, how alike two sentences are.

    The model learns targets of mean 0 and standard deviation 1; predictions are in the unit of the data.
    """

    type: Literal["regression"]
    target: str | None = None
    """Column with the number; found by itself if left out: one called score, rating, value, …, or the only one of numbers."""

    objective: ClassVar[str] = "regression"
    runtime: ClassVar[str] = "hft_plugins.regression.runtime"
    head_type: ClassVar[str] = "sequence-classification"
    gives: ClassVar[frozenset[str]] = frozenset({"score"})
    default_metrics: ClassVar[tuple[dict[str, Any], ...]] = (
        {"type": "mse"}, {"type": "mae"}, {"type": "pearson"}, {"type": "spearman"}, {"type": "r2"},
    )  # fmt: skip
    target_form: ClassVar[Literal["number"]] = "number"

    def bind(self, sample: Columns) -> Self:
        """Settle the columns from a sample of rows."""
        target = self.target or _target_column(sample, self.texts)
        if target not in sample:
            raise no_column("target", target, sample)
        return self.with_texts(sample, (target,)).model_copy(update={"target": target})

    def roles(self) -> Roles:
        """Texts and target column."""
        return self.reading((str(self.target),))

    def refusals(self, columns: Columns) -> list[str | None]:
        """A row needs its texts and a finite number."""
        targets = columns[str(self.target)]
        return [found or _refusal(target) for found, target in zip(self.text_refusals(columns), targets, strict=True)]

    def learn(self, train: Iterable[Columns]) -> Facts:
        """Freeze mean and standard deviation (divided by n), and `rows`. Raises DataError where all numbers are the same."""
        rows, mean, squares = 0, 0.0, 0.0
        for columns in train:
            values = self._numbers(columns)
            if not len(values):
                continue
            # Means and sums of squares of two parts give those of both (Chan, Golub & LeVeque 1979).
            apart, total = values.mean() - mean, rows + len(values)
            squares += float(((values - values.mean()) ** 2).sum() + apart**2 * rows * len(values) / total)
            mean, rows = mean + apart * len(values) / total, total
        sd = math.sqrt(squares / rows) if rows else 0.0
        if sd <= 1e-12 * abs(mean):
            found = f"only the number {mean:g}" if rows else "no number"
            raise DataError(
                f"task: column {self.target!r} of the training split has {found}, so there is nothing to learn; check "
                "`target:` and the file"
            )
        return {"mean": float(mean), "sd": sd, "rows": rows}

    def targets(self, columns: Columns, arrays: Arrays, facts: Facts) -> Arrays:
        """`labels` float32, one per entry, of mean 0 and standard deviation 1 over the training split."""
        values = (self._numbers(columns) - facts["mean"]) / facts["sd"]
        return {"labels": values.astype(np.float32)[np.asarray(arrays["row"])]}

    def head(self, facts: Facts) -> HeadSpec:
        """A linear layer with one output over the pooled text."""
        return HeadSpec(self.head_type, size=1, labels=("score",))

    def truths(self, columns: Columns, facts: Facts) -> list[Prediction]:
        """``{"score": …}`` per row."""
        return [{"score": value} for value in self._numbers(columns).tolist()]

    def _numbers(self, columns: Columns) -> np.ndarray[Any, np.dtype[np.float64]]:
        return np.array([float(value) for value in columns[str(self.target)]], np.float64)


def _number(value: Any) -> float | None:
    """A finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _refusal(value: Any) -> str | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return "missing-number"
    return "not-a-number" if _number(value) is None else None


def _holds_numbers(values: Sequence[Any]) -> bool:
    """Whether at least four fifths are numbers: by default a fifth of a source's rows may be bad."""
    return bool(values) and sum(_number(value) is not None for value in values) >= 0.8 * len(values)


def _target_column(sample: Columns, texts: tuple[str, ...]) -> str:
    names = [name for name in sample if name not in texts]
    for wanted in _TARGET_NAMES:
        for name in names:
            if name.lower() == wanted:
                return name
    numeric = [name for name in names if _holds_numbers(sample[name])]
    if len(numeric) == 1:
        return numeric[0]
    found = f"these hold numbers: {', '.join(numeric)}" if numeric else "none holds numbers"
    raise DataError(
        f"task: which column is to be predicted? The columns are {', '.join(sample)}; {found}. Set `target:` in the "
        "recipe's task"
    )
