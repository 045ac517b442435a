"""Checks of objectives."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hft_core.components import Objective
from hft_core.testing.steps import Batch, batch, encoded, plain_loss, tensors
from hft_core.testing.subject import HEAD, Subject, Unchecked, digest, entries, untouched

if TYPE_CHECKING:
    from numpy.typing import NDArray

_RELATIVE = 1e-4
"""How far sums in another order may lie apart in fp32."""


def encodes_what_it_says(subject: Subject) -> None:
    """`encode` gives arrays with one entry per row, or with `row`, int64, that says which row each entry came from."""
    arrays, rows = encoded(subject), len(next(iter(subject.rows().values())))
    count = entries(arrays)
    if "row" not in arrays:
        assert count == rows, f"it gave {count} entries for {rows} rows; say with `row` which row each came from"
        return
    row: Any = arrays["row"]
    assert row.dtype == np.int64, f"`row` has to be int64, found {row.dtype}"
    assert ((row >= 0) & (row < rows)).all(), "`row` names rows that are not there"


def is_the_same_under_a_seed(subject: Subject) -> None:
    """The same rows under the same numbers give the same arrays and the same batch."""
    arrays = encoded(subject)
    assert digest(arrays) == digest(encoded(subject)), "the same rows are encoded otherwise the second time"
    assert digest(batch(subject, arrays)) == digest(batch(subject, arrays)), (
        "the same rows under the same numbers make another batch; what is drawn has to come from `random`"
    )


def leaves_its_input_alone(subject: Subject) -> None:
    """It changes neither rows nor encoded arrays: these lie in mapped files that all epochs read."""
    columns = subject.rows()
    with untouched(columns):
        arrays = subject.objective.encode(columns, subject.stream)
    with untouched(arrays):
        batch(subject, arrays)


def gives_a_sum_that_teaches(subject: Subject) -> None:
    """The loss is one finite number that is a sum, its count a whole number, and its gradients are finite and not all 0."""
    import torch

    net = subject.net()
    made = batch(subject, encoded(subject))
    count = subject.objective.count(made)
    assert isinstance(count, (int, np.integer)), f"count() gives a whole number, found {count!r}"
    assert count > 0, "count() gives 0 for the sample's rows, so there is nothing to learn from them"
    loss = plain_loss(subject.objective, net)(tensors(made))
    assert loss.sum.ndim == 0, f"`Loss.sum` has to be one number, found the shape {tuple(loss.sum.shape)}"
    assert torch.isfinite(loss.sum), f"the loss is {float(loss.sum)}"
    loss.sum.backward()  # type: ignore[no-untyped-call]  # by torch
    found = [p.grad for p in net.parameters() if p.grad is not None]
    assert found, "no weight of the net has a gradient"
    assert all(torch.isfinite(gradient).all() for gradient in found), "a gradient is infinite, or not a number"
    assert any(gradient.abs().sum() > 0 for gradient in found), "all gradients are 0, so nothing is learned"


def adds_up_over_splits(subject: Subject) -> None:
    """Sum and count of some rows are those of their parts, whichever way the rows are parted."""
    objective = subject.objective
    if objective.couples and not type(objective).splits_over_micro_batches():
        raise Unchecked("its loss couples the rows of a step, and it has only a `loss`")
    arrays = encoded(subject)
    count = entries(arrays)
    if count < 2:
        raise Unchecked(f"the sample's rows give {count} entry; give a Sample with more columns")
    whole = _summed(subject, [batch(subject, arrays)])
    for size in dict.fromkeys((1, max(1, count // 2))):
        if objective.couples and size == 1 and count > 2:
            size = 2
        parts = [batch(subject, arrays, part) for part in _parts(count, size)]
        total = sum(objective.count(part) for part in parts)
        assert total == whole[1], f"the counts of parts of {size} add up to {total}, and the whole counts {whole[1]}"
        found = _summed(subject, parts)[0]
        assert np.isclose(found, whole[0], rtol=_RELATIVE, atol=1e-5), (
            f"the sums of parts of {size} rows add up to {found:.6g}, that of the whole is {whole[0]:.6g}: give a sum, not a mean"
        )


def _parts(count: int, size: int) -> list[NDArray[np.int64]]:
    return [np.arange(start, min(start + size, count)) for start in range(0, count, size)]


def _summed(subject: Subject, parts: list[Batch]) -> tuple[float, int]:
    """Sum and count over parts, without dropout; of an objective that couples rows, of all their vectors."""
    import torch

    objective: Objective = subject.objective
    net = subject.net().eval()
    count = sum(objective.count(part) for part in parts)
    with torch.no_grad():
        if objective.couples and type(objective).splits_over_micro_batches():
            vectors = [objective.vectors(partial(net, HEAD), tensors(part)) for part in parts]
            joined = {name: torch.cat([piece[name] for piece in vectors]) for name in vectors[0]}
            return float(objective.couple(joined).sum), count
        compute = plain_loss(objective, net)
        return sum(float(compute(tensors(part)).sum) for part in parts), count


CHECKS = (
    encodes_what_it_says,
    is_the_same_under_a_seed,
    leaves_its_input_alone,
    gives_a_sum_that_teaches,
    adds_up_over_splits,
)
