"""The training loop: set up, fit, validate. One stage from its start to the best weights.

Read it from top to bottom: `train` is the whole story, `_Stage` holds what is live while it runs.
"""

from __future__ import annotations

import math
import time
from contextlib import ExitStack
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from hft_core.components import Context
from hft_core.errors import Interrupted, NonFiniteError, OutOfMemoryError, RecipeError
from hft_core.runtime.randomness import key_of
from hft_core.training import checkpoint
from hft_core.training.allocator import keep_large_buffers
from hft_core.training.batches import Batches, micro_batch
from hft_core.training.gradients import Gradients
from hft_core.training.job import Job, Result
from hft_core.training.measure import measure, score, try_out
from hft_core.training.module import Forward, parameter_groups
from hft_core.training.processes import Processes

_LOGGED = 200  # points of a stage's curve


def train(job: Job) -> Result:
    """Train one stage; the result's net has the best weights, in fp32, in evaluation mode."""
    try:
        return _train(_Stage(job), job)
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, MemoryError) or "out of memory" in str(error) or "can't allocate memory" in str(error):
            micro = job.stage.micro_batch or job.stage.batch_size
            raise OutOfMemoryError(
                f"a step of {micro} rows does not fit into memory; set `micro_batch: {max(1, micro // 2)}` in the stage "
                "(the update stays the same but for the draws of dropout)"
            ) from error
        raise


def _train(stage: _Stage, job: Job) -> Result:
    stage.resume()
    if stage.step == 0:
        job.say(f"{stage.steps} steps; first trying the longest batch and the first one")
        stage.dry_run()
        if job.stage.stage == "pretrain":
            stage.validate()  # what the text is worth to the model that the stage starts from
    stage.begin()
    while stage.step < stage.steps:
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
        keep_large_buffers()
        torch.manual_seed(key_of(job.seed, "build") % 2**63)
        self.net = job.model.build(job.start, job.preprocessor, job.heads)
        self.lead = job.streams[0]
        self.steps = self.lead.order.steps(job.stage.epochs)
        context = Context(self.steps, job.seed, job.heads, job.preprocessor)
        self.techniques = [(technique, technique.prepare(self.net, context)) for technique in job.stage.techniques]
        AcceleratorState._reset_state()  # a process may run stages of different precision
        self.accelerator = Accelerator(
            mixed_precision="bf16" if job.precision == "bf16" else "no", cpu=not torch.cuda.is_available()
        )
        self.processes = Processes(self.accelerator)
        # Only the wrapper runs in mixed precision; evaluation calls the net itself, in fp32. In "evaluation mode",
        # accelerate adds no data parallelism of its own: see processes.
        self.trained = self.accelerator.prepare_model(Forward(self.net), evaluation_mode=True)
        self.gradients = Gradients(self.trained, self.accelerator, self.processes, self.techniques, job.seed)
        self.groups = parameter_groups(self.net)
        for technique, _ in self.techniques:
            self.groups = technique.groups(self.net, self.groups)
        self.parameters = [parameter for group in self.groups for parameter in group.params]
        self.optimizer = job.stage.optimizer.build(self.groups)
        self.micro = job.stage.micro_batch or -(-job.stage.batch_size // self.processes.count)
        self.batches = Batches(job.streams, self.steps, self.micro, self.processes.index, self.processes.count)
        self._refuse_coupled_rows()
        self.settle_steps, self.settling = self._new_heads()
        self.step = 0
        self.history: list[dict[str, Any]] = []
        self.notes: list[str] = []
        self.losses: dict[str, list[float]] = {stream.name: [] for stream in job.streams}
        self.best: dict[str, torch.Tensor] | None = None
        self.best_score = -math.inf
        self.best_step: int | None = None
        self.seconds, self.clock, self.saved_at = 0.0, time.monotonic(), time.monotonic()
        self.cpu_started, self.cpu_validation = time.process_time(), 0.0
        self.net.train()

    def _new_heads(self) -> tuple[int, list[torch.nn.Parameter]]:
        """Steps in which the heads are trained alone, and their parameters: a new head's gradients would spoil the backbone."""
        used = {stream.head for stream in self.job.streams}
        names = [name for name in self.job.heads if name in self.net.new_heads and name in used]
        if not names:
            return 0, []
        shared = {
            id(parameter) for part in self.net.parts() if part.kind != "head" for parameter in part.module.parameters()
        }
        own = [
            parameter
            for part in self.net.parts()
            if part.kind == "head"
            for parameter in part.module.parameters()
            if id(parameter) not in shared
        ]
        steps = min(100, round(max(self.job.heads[name].settle for name in names) * self.steps))
        alone = f", and the heads are trained alone for {steps} steps" if steps else ""
        these = "its head" if len(names) == 1 else "their heads"
        self.job.say(f"new for this model: {', '.join(names)} ({these} start from random numbers{alone})")
        return steps, own

    def _refuse_coupled_rows(self) -> None:
        """Refuse a loss that is no sum over processes; `hft check` refuses micro-batches already."""
        for stream in self.job.streams:
            wrapped = any(t.changes_loss() and t.applies(stream.objective) for t, _ in self.techniques)
            whole = not stream.objective.splits_over_micro_batches() or (stream.objective.couples and wrapped)
            if whole and self.processes.count > 1:
                raise RecipeError(
                    f"objective {stream.name}: its loss couples the rows of a batch, and is not computed through `vectors` "
                    "(or a technique changes it), so several processes cannot share a batch; start one process"
                )

    def resume(self) -> None:
        """Continue from the newest sound checkpoint, if there is one."""
        found = checkpoint.latest(self.job.work)
        if found is None:
            return
        saved, state = found
        with torch.no_grad():
            for name, parameter in self._named():
                parameter.copy_(saved[f"net/{name}"])
        checkpoint.load_optimizer(self.optimizer, saved, state["optimizer"])
        for index, (technique, technique_state) in enumerate(self.techniques):
            prefix = f"technique/{index}/"
            technique.load(
                technique_state, {k.removeprefix(prefix): v for k, v in saved.items() if k.startswith(prefix)}
            )
        best = {name.removeprefix("best/"): tensor for name, tensor in saved.items() if name.startswith("best/")}
        self.best = best or None
        self.step, self.history, self.losses = state["step"], state["history"], state["losses"]
        self.best_step, self.seconds = state["best_step"], state["seconds"]
        self.best_score = state["best_score"] if state["best_score"] is not None else -math.inf
        self.job.say(f"continuing at step {self.step} of {self.steps}")

    def dry_run(self) -> None:
        """Train on the longest and the first batch, and predict a few rows, before step one: what cannot work fails here."""
        for stream in self.job.streams:
            for made in (stream.longest_batch(self.micro), stream.micro_batches(0, self.micro)[0][1]):
                batch = micro_batch(stream, 0, made)
                loss = self.gradients.loss(stream, batch, self.step)
                if not loss.sum.requires_grad:
                    raise RecipeError(
                        f"objective {stream.name}: it would train nothing, for all parameters that it reaches are frozen; "
                        "leave it out, or freeze less"
                    )
                self.accelerator.backward(loss.sum / max(1, batch.count))
                if not torch.isfinite(loss.sum):
                    raise NonFiniteError(
                        f"objective {stream.name}: the loss is {float(loss.sum.detach())} before the first step; the weights are "
                        f"unusable, or its longest rows or those of the first batch ({stream.rows(0)})"
                    )
        self.optimizer.zero_grad(set_to_none=True)
        try_out(self.net, self.job)

    # ---- fit ----

    def begin(self) -> None:
        """Let the batches be made, from the next step on."""
        self.coming = self.batches.from_step(self.step, self.job.stage.workers)

    def one_step(self) -> None:
        """One optimizer step: every objective's sum over its own count, weighted; then clip, check, step."""
        self._freeze_while_settling()
        for technique, state in self.techniques:
            technique.before_step(self.net, state, self.step)
        factor = self.job.stage.schedule.factor(self.step, self.steps)
        for group, torch_group in zip(self.groups, self.optimizer.param_groups, strict=True):
            torch_group["lr"] = self.job.stage.optimizer.lr * factor * group.lr_scale
        made = next(self.coming)
        counts = self.processes.sums([sum(batch.count for batch in batches) for batches in made])
        losses = [
            self.gradients.add(stream, batches, self.batches.weight(stream, self.step) / max(1.0, count), self.step)
            / max(1.0, count)
            for stream, batches, count in zip(self.job.streams, made, counts, strict=True)
        ]
        self.processes.add_gradients(self.parameters)
        for stream, loss in zip(self.job.streams, self.processes.sums(losses), strict=True):
            if self.batches.weight(stream, self.step):
                self.losses[stream.name].append(loss)
        self._check_finite(self._clip())
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        for technique, state in self.techniques:
            technique.after_step(self.net, state, self.step)
        self._log(factor)

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
        return float(torch.nn.utils.clip_grad_norm_(self.parameters, limit))

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
        point = {"step": self.step, "epoch": round(self._epochs(), 3), "lr": self.job.stage.optimizer.lr * factor}
        self.history.append({**point, "losses": means})
        self.losses = {name: [] for name in self.losses}

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
            self.net.eval()
            figures = measure(self.net, self.job, self.accelerator.device)
            self.net.train()
            self.history.append({"step": self.step, "epoch": round(self._epochs(), 3), "validation": figures})
            found = score(self.job, figures)
            if self.step and found is not None and found > self.best_score:
                self.best_score, self.best_step = found, self.step
                self.best = {name: parameter.detach().cpu().clone() for name, parameter in self._named()}
        self.cpu_validation += time.process_time() - started
        shown = ", ".join(f"{name} {value:.4f}" for name, value in figures.items() if "[" not in name)
        if shown:
            self.job.say(f"epoch {self._epochs():.3g}: {shown}")

    # ---- keep ----

    def keep_safe(self) -> None:
        """Write a checkpoint when one is due, or when asked to stop."""
        if self.step == self.steps:
            return
        late = time.monotonic() - self.saved_at >= 60 * self.job.stage.checkpoint_minutes
        due, asked = self.processes.sums([float(late and self.processes.first), float(self.job.stop.asked)])
        if due or asked:
            self._save()
        if asked:
            raise Interrupted(f"stopped at step {self.step} of {self.steps} as asked; run the same command to continue")

    def _save(self) -> None:
        """Write a checkpoint: one process does, the others wait."""
        self._tick()
        if not self.processes.first:
            self.processes.wait()
            return
        named, plain = checkpoint.optimizer_tensors(self.optimizer)
        saved = {f"net/{name}": parameter for name, parameter in self._named()} | named
        saved |= {f"best/{name}": tensor for name, tensor in (self.best or {}).items()}
        for index, (technique, technique_state) in enumerate(self.techniques):
            saved |= {f"technique/{index}/{k}": v for k, v in technique.tensors(technique_state).items()}
        state = {
            "step": self.step,
            "history": self.history,
            "losses": self.losses,
            "best_step": self.best_step,
            "best_score": self.best_score if math.isfinite(self.best_score) else None,
            "seconds": self.seconds,
            "optimizer": plain,
        }
        checkpoint.save(self.job.work, self.step, saved, state)
        self.saved_at = time.monotonic()
        self.processes.wait()

    def _named(self) -> list[tuple[str, torch.Tensor]]:
        """Parameters and buffers by name, each shared one once."""
        return [*self.net.named_parameters(), *self.net.named_buffers()]

    def _tick(self) -> None:
        now = time.monotonic()
        self.seconds, self.clock = self.seconds + now - self.clock, now

    def finish(self) -> Result:
        """Put the best weights (or, without a best, the last averaged ones) into the net."""
        with torch.no_grad(), ExitStack() as stack:
            for technique, state in self.techniques:
                stack.enter_context(technique.averaged(self.net, state))
            final = self.best or {name: tensor.detach().clone() for name, tensor in self._named()}
        with torch.no_grad():
            for name, tensor in self._named():
                tensor.copy_(final[name])
        if self.best is None:
            self.notes.append(
                "no best epoch was chosen (too few held-out rows, or no figure): the last weights are kept"
            )
        for technique, state in self.techniques:
            technique.finish(self.net, state)
        self.net.requires_grad_(True)
        self._tick()
        cpu = {"train": time.process_time() - self.cpu_started - self.cpu_validation, "validation": self.cpu_validation}
        return Result(self.net.eval(), self.steps, self.seconds, cpu, self.history, self.best_step, self.notes)
