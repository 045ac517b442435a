"""How a stage begins, and what is found out about it before its first step."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from hft_core.components import Context, Loss, ParamGroup
from hft_core.components.net import Net
from hft_core.errors import RecipeError
from hft_core.recipe.check_stages import indivisible
from hft_core.runtime.randomness import key_of
from hft_core.training.allocator import settle_memory
from hft_core.training.embedding import compact_table
from hft_core.training.job import Job
from hft_core.training.measure import can_decide
from hft_core.training.module import parameter_groups
from hft_core.training.sharding import Built
from hft_core.training.streams import LiveStream

_PRETRAIN, _FINETUNE, _AT_MOST = 5, 10, 30
"""Epochs where the recipe says nothing."""
_ENOUGH_STEPS = 300
"""Steps below which fine-tuning on few rows is unstable, and often comes to nothing: training for longer is the remedy (Mosbach,
Andriushchenko, Klakow 2021; Zhang et al. 2021); as many as the diagnosis of too few steps suggests (evidence/diagnosis)."""


def steps_of(job: Job) -> int:
    """Optimizer steps of the stage: its first objective sets the length of an epoch."""
    return job.streams[0].order.steps(epochs_of(job))


def epochs_of(job: Job) -> float:
    """The recipe's epochs; by default more of them where rows are few."""
    if job.stage.epochs is not None:
        return job.stage.epochs
    if job.stage.stage == "pretrain":
        return _PRETRAIN
    usual = job.streams[0].order.steps(_FINETUNE)
    return min(_AT_MOST, max(_FINETUNE, -(-_FINETUNE * _ENOUGH_STEPS // usual)))


def build(job: Job) -> Built:
    """Build the net that the stage starts from, and let the techniques prepare it; the same each time."""
    settle_memory()
    torch.manual_seed(key_of(job.seed, "build") % 2**63)
    net = job.model.build(job.start, job.preprocessor, job.heads)
    table = compact_table(net, job.stage, job.streams)
    context = Context(steps_of(job), job.seed, job.heads, job.preprocessor)
    return Built(net, [(technique, technique.prepare(net, context)) for technique in job.stage.techniques], table)


def trained_groups(built: Built) -> list[ParamGroup]:
    """The groups of parameters that the optimizer gets, as the techniques rearrange them."""
    groups = parameter_groups(built.net)
    for technique, _ in built.techniques:
        groups = technique.groups(built.net, groups)
    return groups


def require(job: Job, processes: int) -> None:
    """Refuse what a stage's settings ask for and its data or processes cannot give."""
    if processes > 1 and (found := next(indivisible(job.stage), None)):
        raise RecipeError(
            f"objective {found[0].title}: {found[1]}, so several processes cannot share a batch; start one process"
        )
    steps, warmup = steps_of(job), job.stage.schedule.warmup
    if warmup >= 1 and int(warmup) >= steps:
        raise RecipeError(
            f"schedule: the warm-up takes {int(warmup)} steps, and the stage has {steps}, so the full learning rate would never "
            "be reached; lower `warmup` (below 1 it is a share of the stage's steps), or train longer"
        )
    asked = "early_stopping" if job.stage.early_stopping else "plateau" if job.stage.plateau else None
    if asked and not can_decide(job):
        raise RecipeError(
            f"`{asked}` watches the figure that chooses the best epoch, and there is none here: it takes 100 validation rows "
            "(or held-out rows of a corpus). Give more rows, or leave it out"
        )


def require_trained(stream: LiveStream, loss: Loss) -> None:
    """Refuse an objective whose loss reaches no parameter that is trained."""
    if not loss.sum.requires_grad:
        raise RecipeError(
            f"objective {stream.name}: it would train nothing, for all parameters that it reaches are frozen; "
            "leave it out, or freeze less"
        )


def new_heads(net: Net, job: Job, steps: int) -> tuple[int, list[torch.nn.Parameter]]:
    """Steps in which the heads are trained alone, and their parameters: a new head's gradients would spoil the backbone."""
    used = {stream.head for stream in job.streams}
    names = [name for name in job.heads if name in net.new_heads and name in used]
    settle = min(100, round(max((job.heads[name].settle for name in names), default=0) * steps))
    alone = f", and the heads are trained alone for {settle} steps" if settle else ""
    if whole := [name for name in names if name not in net.changed_labels]:
        these = "its head starts" if len(whole) == 1 else "their heads start"
        job.say(f"new for this model: {', '.join(whole)} ({these} from random numbers{alone})")
    for name in job.heads:
        if name in net.changed_labels:
            job.say(label_changes(name, *net.changed_labels[name], alone))
    if not names:
        return 0, []
    shared = {id(parameter) for part in net.parts() if part.kind != "head" for parameter in part.module.parameters()}
    own = [
        parameter
        for part in net.parts()
        if part.kind == "head"
        for parameter in part.module.parameters()
        if id(parameter) not in shared
    ]
    return settle, own


def label_changes(head: str, added: Sequence[str], gone: Sequence[str], alone: str = "") -> str:
    """Say which labels of a head changed, and what becomes of its weights; `alone` goes on about the new ones."""
    parts = [f"{what} {listed(labels)}" for what, labels in (("new", added), ("gone", gone)) if labels]
    fate = f" (new ones start from random numbers{alone})" if added else ""
    return f"labels of {head}: {', '.join(parts)}; those that stay keep their weights{fate}"


def listed(labels: Sequence[str]) -> str:
    """Labels as the end of a sentence, the first ten of many."""
    more = f" and {len(labels) - 10} more" if len(labels) > 10 else ""
    return f"{'is' if len(labels) == 1 else 'are'} {', '.join(map(repr, labels[:10]))}{more}"
