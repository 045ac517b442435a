"""A stage is tried before any stage is trained: what is wrong with the last one is not to be found after hours of the first."""

from __future__ import annotations

import torch

from hft_core.training.batches import micro_batch
from hft_core.training.gradients import loss_of
from hft_core.training.job import Job
from hft_core.training.measure import try_out
from hft_core.training.setup import build, require, require_trained, steps_of, trained_groups

_ROWS = 2  # rows of each objective that pass through the net


def try_stage(job: Job) -> int:
    """Set a stage up and compute the losses and predictions of a few rows, on the CPU; gives its number of steps.

    Trains nothing and keeps nothing. What depends on memory, speed or trained weights is for the stage's own dry run.
    """
    require(job, processes=1)
    heard = [stream for stream in job.streams if not stream.objective.silent()]
    for stream in heard:
        stream.micro_batches(0, stream.order.batch_size)  # the whole first batch is made, as training makes it
    built = build(job)
    job.stage.optimizer.build(trained_groups(built))
    built.net.train()
    for stream in heard:
        few = micro_batch(stream, 0, stream.longest_batch(_ROWS))
        require_trained(stream, loss_of(stream, built.net, built.techniques)(few.arrays))
    built.net.eval()
    with built.whole(), torch.no_grad():
        try_out(built.net, job)
    return steps_of(job)
