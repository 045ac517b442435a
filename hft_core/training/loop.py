"""The training loop: set up, fit, validate. One stage from its start to the best weights.

Read it from top to bottom: `train` is the whole story, `_Stage` holds what is live while it runs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any, TypeVar

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from hft_core.components.net import Net
from hft_core.errors import Interrupted, NonFiniteError
from hft_core.recipe.check_stages import indivisible
from hft_core.training import checkpoint
from hft_core.training.allocator import give_back
from hft_core.training.batches import Batches, Share, micro_batch
from hft_core.training.dropout import fast_masks
from hft_core.training.gradients import Gradients
from hft_core.training.job import Job, Result
from hft_core.training.measure import can_decide, measure, score, try_out
from hft_core.training.memory import is_out_of_memory, memory_error, release
from hft_core.training.movement import Movement
from hft_core.training.patience import Patience
from hft_core.training.processes import PATIENT, Processes
from hft_core.training.setup import build, new_heads, require, require_trained, steps_of, trained_groups
from hft_core.training.sharding import place
from hft_core.training.streams import Batch, LiveStream

T = TypeVar("T")

_LOGGED = 200  # points of a stage's curve


def train(job: Job) -> Result:
    """Train one stage; the result's net has the best weights, in fp32, in evaluation mode."""
    try:
        with fast_masks():
            result = _train(_Stage(job), job)
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            raise memory_error("the model, its gradients and the optimizer's state do not") from error
        raise
    give_back()
    return result


def _train(stage: _Stage, job: Job) -> Result:
    stage.resume()
    if stage.step == 0:
        job.say(f"{stage.steps} steps; first trying the longest batch and the first one")
        stage.dry_run()
        if job.stage.stage == "pretrain":
            stage.validate()  # what the text is worth to the model that the stage starts from
    stage.begin()
    while stage.step < stage.steps and not stage.patience.ended:
        stage.one_step()
        if stage.epoch_ended() or stage.step == stage.steps:
            stage.validate()
        stage.keep_safe()
    return stage.finish()


class _Stage:
    """The live objects of a stage."""

    # ---- set up ----

    def __init__(self, job: Job):
        self.job = job
        self.lead = job.streams[0]
        self.steps = steps_of(job)
        AcceleratorState._reset_state()  # a process may run stages of different precision
        self.accelerator = Accelerator(
            mixed_precision="bf16" if job.precision == "bf16" else "no",
            cpu=not torch.cuda.is_available(),
            kwargs_handlers=[PATIENT],
        )
        self.processes = Processes(self.accelerator)
        self.placed = place(job.strategy, self.accelerator, self.processes, partial(build, job))
        self.net, self.techniques, self.table = self.placed.built
        self.gradients = Gradients(self.placed.trained, self.accelerator, self.processes, self.techniques, job.seed)
        self.groups = trained_groups(self.placed.built)
        self.parameters = [parameter for group in self.groups for parameter in group.params]
        self.trained_names = {name for group in self.groups for name in group.names}
        self.movement = Movement(self.parameters)
        self.optimizer = job.stage.optimizer.build(self.groups)
        self.micro = self._micro_asked()
        share = Share(
            self.processes.index, self.processes.count, fill=job.stage.micro_batch is None, even=self.placed.even
        )
        self.batches = Batches(job.streams, self.steps, self.micro, share)
        require(job, self.processes.count)
        self.settle_steps, self.settling = new_heads(self.net, job, self.steps)
        self.patience = Patience(job.stage)
        self.step = 0
        self.history: list[dict[str, Any]] = []
        self.notes: list[str] = []
        self.losses: dict[str, list[float]] = {stream.name: [] for stream in job.streams}
        self.norms: list[float] = []
        self.best: dict[str, torch.Tensor] | None = None
        self.seconds, self.clock, self.saved_at = 0.0, time.monotonic(), time.monotonic()
        self.cpu_started, self.cpu_validation = time.process_time(), 0.0
        self.net.train()

    def resume(self) -> None:
        """Continue from the newest sound checkpoint, if there is one."""
        found = self.processes.of_first(lambda: checkpoint.newest(self.job.work, self.job.say))
        if found is None:
            return
        saved, state = checkpoint.read(found)
        best = {name.removeprefix("best/"): tensor for name, tensor in saved.items() if name.startswith("best/")}
        self.best = best or None
        saved = self.placed.placed(saved, self.parameters)
        with torch.no_grad():
            for name, parameter in self._named():
                parameter.copy_(saved[f"net/{name}"])
        checkpoint.load_optimizer(self.optimizer, saved, state["optimizer"])
        for index, (technique, technique_state) in enumerate(self.techniques):
            prefix = f"technique/{index}/"
            technique.load(
                technique_state, {k.removeprefix(prefix): v for k, v in saved.items() if k.startswith(prefix)}
            )
        self.step, self.history, self.losses = state["step"], state["history"], state["losses"]
        self.norms = state["norms"]
        self.seconds = state["seconds"]
        self.micro = self.batches.size = min(self.micro, state["divided"] or self.micro)
        self.patience.load(state["patience"])
        if self.table:
            self.table.decay = state["table_decay"]
        self.job.say(f"continuing at step {self.step} of {self.steps}")
        self._tell("resumed", steps=self.steps)

    def dry_run(self) -> None:
        """Train on the longest and the first batch, and predict a few rows, before step one: what cannot work fails here."""
        for stream in self.job.streams:
            if stream.objective.silent():
                continue
            self._within_memory(partial(self._try_longest, stream))
            self._within_memory(partial(self._try_first, stream))
        with self.placed.measured() as net:
            try_out(net, self.job)

    def _try_longest(self, stream: LiveStream) -> None:
        self._try(stream, stream.longest_batch(self.micro))

    def _try_first(self, stream: LiveStream) -> None:
        self._try(stream, stream.made(stream.pieces(0, self.micro)[0]))

    def _try(self, stream: LiveStream, made: Batch) -> None:
        """Compute one loss and its gradients, which come to nothing."""
        batch = micro_batch(stream, 0, made)
        loss = self.gradients.loss(stream, batch, self.step)
        require_trained(stream, loss)
        self.accelerator.backward(loss.sum / max(1, batch.count))
        if not torch.isfinite(loss.sum):
            raise NonFiniteError(
                f"objective {stream.name}: the loss is {float(loss.sum.detach())} before the first step; the weights are "
                f"unusable, or its longest rows or those of the first batch ({stream.rows(0)})"
            )
        self.optimizer.zero_grad(set_to_none=True)

    # ---- fit ----

    def begin(self) -> None:
        """Let the batches be made, from the next step on."""
        self.coming = self.batches.from_step(self.step, self.job.stage.workers)

    def one_step(self) -> None:
        """One optimizer step: every objective's sum over its own count, weighted; then clip, check, step."""
        self._freeze_while_settling()
        for technique, state in self.techniques:
            technique.before_step(self.net, state, self.step)
        factor = self.job.stage.schedule.factor(self.step, self.steps) * self.patience.factor
        for group, torch_group in zip(self.groups, self.optimizer.param_groups, strict=True):
            torch_group["lr"] = self.job.stage.optimizer.lr * factor * group.lr_scale
        losses = self._within_memory(self._gradients)
        self.placed.add_gradients(self.parameters)
        for stream, loss in zip(self.job.streams, self.processes.sums(losses), strict=True):
            if self.batches.weight(stream, self.step):
                self.losses[stream.name].append(loss)
        self.norms.append(self._clip())
        self._check_finite(self.norms[-1])
        if self.table and self.table.trained:
            for group, torch_group in zip(self.groups, self.optimizer.param_groups, strict=True):
                self.table.after_step(group, self.job.stage.optimizer.untouched(torch_group["lr"]) or 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        for technique, state in self.techniques:
            technique.after_step(self.net, state, self.step)
        self._log(factor)

    def _gradients(self) -> list[float]:
        """Add up the gradients of this process's part of the step; gives each objective's mean loss there."""
        made = next(self.coming)
        counts = self.processes.sums([sum(batch.count for batch in batches) for batches in made])
        return [
            self.gradients.add(stream, batches, self.batches.weight(stream, self.step) / max(1.0, count), self.step)
            / max(1.0, count)
            for stream, batches, count in zip(self.job.streams, made, counts, strict=True)
        ]

    def _within_memory(self, work: Callable[[], T]) -> T:
        """Do `work`, again with micro-batches of half the size wherever memory does not suffice for one process."""
        while True:
            failed = False
            try:
                result = work()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if self._waited_for(error):
                    raise memory_error(
                        f"a pass of {self.micro} rows (`micro_batch` makes them fewer) does not"
                    ) from error
                failed = True  # divided outside this block, where the failed pass is no longer held by its traceback
            if not self.processes.sums([float(failed)])[0]:
                return result
            self._divide()

    def _waited_for(self, error: BaseException) -> bool:
        """Whether others are stopped in the middle of a step for what this process cannot give: parts of layers, vectors, counts.

        Python's own error comes where batches are made, before their counts are added up.
        """
        couples = any(stream.objective.couples for stream in self.job.streams)
        return self.placed.even or (self.processes.count > 1 and (couples or isinstance(error, MemoryError)))

    def _divide(self) -> None:
        """Halve the micro-batch, and make the batches from this step on anew: the same rows in smaller pieces."""
        whole = next((why for _, why, _ in indivisible(self.job.stage)), None)
        if self.micro == 1 or whole:
            because = f" ({whole})" if whole else ""
            raise memory_error(
                f"a forward and backward pass of {self.micro} row{'s' * (self.micro > 1)}{because} does not"
            )
        self.optimizer.zero_grad(set_to_none=True)
        release()
        self.micro = self.batches.size = self.micro // 2
        self._tell("divided", micro_batch=self.micro)
        self.job.say(f"out of memory at step {self.step + 1}: it is done again with micro-batches of {self.micro} rows")
        self.begin()

    def _freeze_while_settling(self) -> None:
        if not self.settle_steps:
            return
        own = {id(parameter) for parameter in self.settling}
        for parameter in self.parameters:
            parameter.requires_grad_(self.step >= self.settle_steps or id(parameter) in own)
        if self.step >= self.settle_steps:
            self.settle_steps = 0

    def _clip(self) -> float:
        """Clip the gradient's norm; gives the norm before."""
        limit = self.job.stage.clip if self.job.stage.clip is not None else math.inf
        return self.placed.clip(self.parameters, limit)

    def _check_finite(self, norm: float) -> None:
        """Stop before the optimizer's step if a loss or gradient is not finite."""
        last = {name: values[-1] for name, values in self.losses.items() if values}
        if math.isfinite(norm) and all(map(math.isfinite, last.values())):
            return
        streams = "; ".join(f"{stream.name}: {stream.rows(self.step)}" for stream in self.job.streams)
        raise NonFiniteError(
            f"step {self.step + 1}: the gradient's norm is {norm} (losses: {last}). Nothing was changed by it. Rows of this "
            f"step: {streams}. Lower the learning rate, or look at these rows"
        )

    def _log(self, factor: float) -> None:
        every = max(1, self.steps // _LOGGED)
        means = {name: sum(values) / len(values) for name, values in self.losses.items() if values}
        self.job.advance(self.step, self.steps, {**means, "lr": self.job.stage.optimizer.lr * factor})
        if self.step % every and self.step != self.steps:
            return
        point = {
            "step": self.step,
            "epoch": round(self._epochs(), 3),
            "lr": self.job.stage.optimizer.lr * factor,
            "norm": sum(self.norms) / len(self.norms),
            "moved": self.movement.share(),
        }
        self.history.append({**point, "losses": means})
        self._tell("train", **point, steps=self.steps, loss=means)
        self.losses, self.norms = {name: [] for name in self.losses}, []

    def _tell(self, event: str, **fields: Any) -> None:
        """Let the log know; one process speaks for all."""
        if self.processes.first:
            self.job.tell(event, {"step": self.step, **fields})

    def _epochs(self) -> float:
        epoch, position = self.lead.order.place(self.step)
        batches = self.lead.order.steps(epoch + 1) - (self.lead.order.steps(epoch) if epoch else 0)
        return epoch + position / batches

    def epoch_ended(self) -> bool:
        """Whether the step that was just done ended an epoch of the first objective."""
        return self.lead.order.last_of_epoch(self.step - 1)

    # ---- validate ----

    def validate(self) -> None:
        """Measure with averaged weights, in fp32 and evaluation mode; keep the weights if they are the best so far."""
        started = time.process_time()
        with ExitStack() as stack, torch.no_grad():
            for technique, state in self.techniques:
                stack.enter_context(technique.averaged(self.net, state))
            net = stack.enter_context(self.placed.measured())
            figures = self.processes.agreed(measure(net, self.job, self.accelerator.device))
            self.history.append({"step": self.step, "epoch": round(self._epochs(), 3), "validation": figures})
            found = score(self.job, figures)
            if self.step and found is not None and self.patience.see(found, self.step):
                self.best = self._copied(net)
        self.cpu_validation += time.process_time() - started
        shown = ", ".join(f"{name} {value:.4f}" for name, value in figures.items() if "[" not in name)
        if shown:
            self.job.say(f"epoch {self._epochs():.3g}: {shown}")
            best = {"best": self.patience.step == self.step, "best_step": self.patience.step}
            self._tell("validation", epoch=round(self._epochs(), 3), figures=figures, **best)

    # ---- keep ----

    def keep_safe(self) -> None:
        """Write a checkpoint when one is due, or when asked to stop."""
        if self.step == self.steps or self.patience.ended:
            return
        late = time.monotonic() - self.saved_at >= 60 * self.job.stage.checkpoint_minutes
        due, asked = self.processes.sums([float(late and self.processes.first), float(self.job.stop.asked)])
        if due or asked:
            self._save()
        if asked:
            raise Interrupted(f"stopped at step {self.step} of {self.steps} as asked; run the same command to continue")

    def _save(self) -> None:
        """Write a checkpoint: one process does, with what all have; the others wait."""
        self._tick()
        named, plain = checkpoint.optimizer_tensors(self.optimizer)
        saved = {f"net/{name}": parameter for name, parameter in self._named()} | named
        for index, (technique, technique_state) in enumerate(self.techniques):
            saved |= {f"technique/{index}/{k}": v for k, v in technique.tensors(technique_state).items()}
        saved = self.placed.whole(saved)
        saved |= {f"best/{name}": tensor for name, tensor in (self.best or {}).items()}
        state = {
            "step": self.step,
            "history": self.history,
            "losses": self.losses,
            "norms": self.norms,
            "patience": self.patience.state(),
            "divided": self.micro if self.micro < self._micro_asked() else None,
            "table_decay": self.table.decay if self.table else 1.0,
            "seconds": self.seconds,
            "optimizer": plain,
        }
        if self.processes.first:
            checkpoint.save(self.job.work, self.step, saved, state)
            self._tell("checkpoint")
        self.saved_at = time.monotonic()
        self.processes.wait()

    def _named(self, net: Net | None = None) -> list[tuple[str, torch.Tensor]]:
        """What training changes, by name: parameters that the optimizer has, and buffers; each shared one once.

        All others are as `build` and the techniques' `prepare` make them.
        """
        net = net or self.net
        trained = [(name, tensor) for name, tensor in net.named_parameters() if name in self.trained_names]
        return [*trained, *net.named_buffers()]

    def _copied(self, net: Net) -> dict[str, torch.Tensor]:
        """These of a net that is measured, on the CPU."""
        return {name: tensor.detach().cpu().clone() for name, tensor in self._named(net)}

    def _tick(self) -> None:
        now = time.monotonic()
        self.seconds, self.clock = self.seconds + now - self.clock, now

    def finish(self) -> Result:
        """Put the best weights (or, without a best, the last averaged ones) into the net."""
        with torch.no_grad(), ExitStack() as stack:
            for technique, state in self.techniques:
                stack.enter_context(technique.averaged(self.net, state))
            final = self.best or self._copied(stack.enter_context(self.placed.measured()))
        net, techniques = self.placed.finished(final)
        self._note_what_happened()
        for note in self.notes:
            self.job.say(note)
        self._tick()
        cpu = {"train": time.process_time() - self.cpu_started - self.cpu_validation, "validation": self.cpu_validation}
        return Result(net, self.step, self.seconds, cpu, self.history, self.patience.step, self.notes, techniques)

    def _note_what_happened(self) -> None:
        """Say what a reader of the report has to know."""
        asked = self._micro_asked()
        if self.micro < asked:
            self.notes.append(
                f"memory did not suffice for {asked} rows at a time: they were done in pieces of {self.micro}. Which rows each "
                "step had is as it would have been, what dropout drew is not"
            )
        if self.patience.ended:
            self.notes.append(
                f"ended at step {self.step} of {self.steps}: no better figure in {self.job.stage.early_stopping} validations"
            )
        if self.best is None:
            why = "the figure that decides was never a number" if can_decide(self.job) else "too few held-out rows"
            self.notes.append(f"no best epoch was chosen ({why}): the last weights are kept")

    def _micro_asked(self) -> int:
        """Rows per pass that the recipe asks for."""
        return self.job.stage.micro_batch or -(-self.job.stage.batch_size // self.processes.count)
