"""Checks of what a stage puts together: objectives with a model, techniques with each other, batches with losses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from hft_core.components import Objective, Technique
from hft_core.recipe.model import Recipe, Stage
from hft_core.recipe.yaml import Location

FACTORY = "factory"
"""What stands among a model's heads where it takes those that tasks make themselves."""
Problem = tuple[Location, str]
"""A place in the recipe, and what is wrong there and what to do."""


def nearest(name: str, known: Sequence[str]) -> str:
    """The end of a sentence about an unknown name: a question about the nearest one, or a full stop."""
    near = get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else "."


def heads(recipe: Recipe) -> Iterator[Problem]:
    """Objectives for whose head the model is not made."""
    known = recipe.model.heads
    for index, stage in enumerate(recipe.stages):
        for position, objective in enumerate(stage.objectives):
            owner = recipe.all_tasks.get(objective.trained_task) if objective.trained_task else objective
            wanted = owner.head_type if owner is not None else None
            if known is not None and wanted is not None and wanted not in known:
                which = "a head of its own" if wanted == FACTORY else f"the head {wanted!r}"
                yield (
                    ("stages", index, "objectives", position),
                    f"{objective.type_name()} trains {which}, which the model {recipe.model.type_name()!r} cannot have (it can "
                    f"have {', '.join(sorted(known - {FACTORY}))}); take an objective for one of these, or a model of another "
                    "type",
                )


def techniques(recipe: Recipe) -> Iterator[Problem]:
    """Techniques that stand in the wrong order, contradict each other, or change no loss."""
    for index, stage in enumerate(recipe.stages):
        for position, technique in enumerate(stage.techniques):
            place: Location = ("stages", index, "techniques", position)
            first = stage.techniques[0].type_name()
            if technique.changes_modules and position and first not in technique.excludes:
                yield (
                    place,
                    f"{technique.type_name()} changes the modules of the net, so it has to stand before {first}; put it first",
                )
            for other in stage.techniques[:position]:
                yield from _pair(stage, other, technique, place)
            yield from _changed_losses(stage, technique, place)


def _pair(stage: Stage, first: Technique, second: Technique, place: Location) -> Iterator[Problem]:
    """Two techniques of a stage, in the order in which it lists them."""
    one, two = first.type_name(), second.type_name()
    if first.changes_loss() and second.changes_loss():
        shared = [o.title for o in stage.objectives if first.applies(o) and second.applies(o)]
        if not shared:
            return
        where = f" on {shared[0]!r}"
    else:
        where = ""
    if two in first.excludes or one in second.excludes:
        yield place, f"{one} and {two} cannot be combined{where}; remove one of them"
    elif one == two and not first.repeatable:
        yield place, f"the stage has {one} twice{where}, and one of them can say it all; remove the other"
    elif two in first.follows:
        yield place, f"{one} takes up what {two} leaves, so it has to stand behind it; put {two} before {one}"


def _changed_losses(stage: Stage, technique: Technique, place: Location) -> Iterator[Problem]:
    """Which objectives' losses a technique changes: some, if it changes losses; none that it does not fit."""
    kind = technique.type_name()
    titles = [objective.title for objective in stage.objectives]
    known = ["task", *titles]
    unknown = [name for name in technique.on or () if name not in known]
    for name in unknown:
        yield (*place, "on"), f"the stage has no objective {name!r}{nearest(name, known)} It has: {', '.join(known)}"
    if not technique.changes_loss():
        if technique.on is not None:
            yield (*place, "on"), f"{kind} changes no objective's loss, so there is nothing to name; remove `on`"
        return
    changed = [objective for objective in stage.objectives if technique.applies(objective)]
    if not changed and not unknown:
        yield (
            (*place, "on") if technique.on is not None else place,
            f"{kind} would change no loss, for no objective of this stage trains a task; name some with `on:`, out of "
            f"{', '.join(titles)}",
        )
    for objective in changed if technique.per_row else ():
        if objective.couples:
            yield (
                place,
                f"{kind} needs the loss of each row, and {objective.title!r} compares rows with each other; name other "
                "objectives in `on:`",
            )


def micro_batches(recipe: Recipe) -> Iterator[Problem]:
    """Batches in which no row has another to be compared with; micro-batches of losses that need the whole batch at once."""
    for index, stage in enumerate(recipe.stages):
        for position, objective in enumerate(stage.objectives):
            if objective.couples and (objective.batch_size or stage.batch_size) < 2:
                own = ("objectives", position) if objective.batch_size else ()
                yield (
                    ("stages", index, *own, "batch_size"),
                    f"{objective.type_name()} compares the rows of a batch with each other, and a batch of one has no other; "
                    "raise `batch_size`",
                )
    for index, stage in enumerate(recipe.stages):
        micro = stage.micro_batch or stage.batch_size
        for objective, why, technique in indivisible(stage):
            rows = objective.batch_size or stage.batch_size
            if rows > micro:
                besides = "remove the technique" if technique else "lower `batch_size`"
                yield (
                    ("stages", index, "micro_batch"),
                    f"{why}, so a batch of {rows} cannot be computed in pieces of {micro}; raise `micro_batch`, or {besides}",
                )


def shared(recipe: Recipe, count: int) -> Iterator[Problem]:
    """Batches that several processes cannot share: too small ones, and losses that need the whole batch at once."""
    for index, stage in enumerate(recipe.stages):
        for place, objective in enumerate(stage.objectives):
            rows = objective.batch_size or stage.batch_size
            if rows < count:
                own = ("objectives", place) if objective.batch_size else ()
                yield (
                    ("stages", index, *own, "batch_size"),
                    f"a batch of {rows} rows leaves {count - rows} of {count} processes without a row; raise `batch_size` to "
                    f"{count} or more, or start at most {rows} (--nproc_per_node × --nnodes)",
                )
        for _, why, technique in indivisible(stage):
            besides = ", or remove the technique" if technique else ""
            yield (
                ("stages", index, "objectives"),
                f"{why}, so {count} processes cannot share a batch; start one process{besides}",
            )


def indivisible(stage: Stage) -> Iterator[tuple[Objective, str, Technique | None]]:
    """Losses that are no sum over pieces of a batch: why, and the technique that makes them so.

    One that couples rows is none, unless it goes through vectors, and nothing changes it.
    """
    for objective in stage.objectives:
        if not objective.splits_over_micro_batches():
            why = f"the objective {objective.type_name()!r} couples the rows of a batch and has no `vectors`"
            yield objective, why, None
        for technique in stage.techniques if objective.couples else ():
            if technique.changes_loss() and technique.applies(objective):
                why = f"the technique {technique.type_name()!r} changes the loss of {objective.type_name()!r}, which couples rows"
                yield objective, why, technique
