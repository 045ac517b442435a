"""What a stage is measured by after each epoch: held-out loss of text streams, metrics of tasks, and the figure that decides."""

from __future__ import annotations

from functools import partial

import torch

from hft_core.components import Columns, Task
from hft_core.components.net import Net
from hft_core.training.batches import micro_batch
from hft_core.training.gradients import on_device
from hft_core.training.inference import infer
from hft_core.training.job import Job, Validation

_BATCH = 64
_TRIED = 2  # rows that are predicted before the first step
_SMALLEST_CHOICE = 100  # validation rows under which the best epoch cannot be told from luck


def measure(net: Net, job: Job, device: torch.device) -> dict[str, float]:
    """Give all figures of the net, which is in evaluation mode, by name."""
    figures = _held_out(net, job, device)
    for wanted in job.validations:
        # What no metric reads, such as a continuation of each text, is not made.
        needs: frozenset[str] = frozenset().union(*(metric.needs for metric in wanted.metrics))
        figures |= _figures(net, job, wanted, wanted.columns, wanted.task.measuring(needs))
    return figures


def try_out(net: Net, job: Job) -> None:
    """Predict and measure a few rows of each task: what cannot be predicted fails before the first step."""
    for wanted in job.validations:
        few = {name: values[:_TRIED] for name, values in wanted.columns.items()}
        _figures(net, job, wanted, few, wanted.task)


def can_decide(job: Job) -> bool:
    """Whether there is a figure to choose the best step by."""
    if job.stage.stage == "pretrain":
        return any(stream.order.held for stream in job.streams)
    rows = {wanted.head: _rows(wanted.columns) for wanted in job.validations}
    return job.best is not None and rows.get(job.best.task, 0) >= _SMALLEST_CHOICE


def score(job: Job, figures: dict[str, float]) -> float | None:
    """The figure that chooses the best step, greater being better; None where the last weights are kept."""
    if not can_decide(job):
        return None
    if job.stage.stage == "pretrain":
        return -sum(value for name, value in figures.items() if name.endswith(" loss"))
    assert job.best is not None  # can_decide says so
    return figures[job.best.title] * (1 if job.best.metric.greater_is_better else -1)


def _held_out(net: Net, job: Job, device: torch.device) -> dict[str, float]:
    """Mean loss of each text stream on its held-out rows, always with the same masks."""
    figures: dict[str, float] = {}
    for stream in job.streams:
        total, count = 0.0, 0
        for made in stream.held_out_batches(_BATCH):
            batch = micro_batch(stream, 0, made)
            total += float(stream.objective.loss(partial(net, stream.head), on_device(batch, device)).sum)
            count += batch.count
        if not count:
            continue
        figures[f"{stream.name} loss"] = total / count
        prefix = f"{stream.name} " if len(job.streams) > 1 else ""
        for metric in job.metrics:
            if metric.needs <= stream.objective.gives:
                found = metric.measure([{"nll": total, "tokens": count}], [{}], {})
                figures |= {prefix + name: value for name, value in found.items()}
    return figures


def _figures(net: Net, job: Job, wanted: Validation, columns: Columns, task: Task) -> dict[str, float]:
    """A task's metrics on these rows."""
    if not _rows(columns):
        return {}
    found = infer(net, wanted.head, task, columns, job.preprocessor, wanted.facts).predictions
    truths = wanted.task.truths(columns, wanted.facts)
    figures: dict[str, float] = {}
    for metric in wanted.metrics:
        measured = metric.measure(found, truths, wanted.facts)
        figures |= {wanted.prefix + name: value for name, value in measured.items()}
    return figures


def _rows(columns: Columns) -> int:
    return len(next(iter(columns.values()), []))
