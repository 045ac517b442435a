"""Training one stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hft_core.components import HeadSpec, Metric, Objective, Preprocessor, Roles, Stream
from hft_core.pipeline.steps.augment import fresh_variants
from hft_core.pipeline.steps.common import (
    Folders,
    Process,
    TaskPlace,
    TaskRows,
    build_net,
    load_preprocessor,
    write_json,
)
from hft_core.pipeline.steps.record import StageRecord
from hft_core.recipe.metrics import Best
from hft_core.recipe.model import Recipe, Stage
from hft_core.recipe.sources import head_name

if TYPE_CHECKING:
    from hft_core.training.job import Job, Validation


@dataclass(frozen=True)
class StageStep:
    """Trains one stage; leaves `model/`, a plain model folder with its preprocessor, stage.json and metrics.jsonl."""

    recipe: Recipe
    stage: Stage
    earlier: Sequence[Stage]
    """The stages before it: their heads are carried along, so that a later stage finds them."""
    later: Sequence[Stage]
    """The stages behind it: what they train is kept where the model that this stage starts from has it."""
    seed: int
    precision: str
    metrics: Mapping[str, Sequence[Metric]]
    """Of each task that the stage trains."""
    text_metrics: Sequence[Metric]
    """Those that apply to held-out text."""
    best: Best | None
    source: Path | None
    """What the first stage starts from."""
    before: str | None
    """The node of the stage before."""
    encodes: Sequence[str]
    """The nodes with the objectives' encoded data."""
    tasks: Sequence[TaskPlace]
    """All tasks whose heads the net has."""

    def __call__(self, out: Path, inputs: Folders, process: Process) -> None:
        """Train, with the other processes where there are some, and write the best weights."""
        from hft_core.training.loop import train

        job = self.job(inputs, process)
        record = StageRecord(job.streams, process)
        result = train(replace(job, advance=record.advance, tell=record.tell))
        if not process.writes:
            return
        (out / "model").mkdir()
        result.net.save(out / "model")
        job.preprocessor.save(out / "model")
        for technique, state in result.techniques:
            technique.save(result.net, state, out / "model")
        for rows in (TaskRows.open(self.recipe, place, inputs) for place in self.tasks):
            rows.task.save(out / "model", rows.facts)
        note = {
            "steps": result.steps,
            "seconds": round(result.seconds, 2),
            "cpu_seconds": {name: round(value, 2) for name, value in result.cpu_seconds.items()},
            "best_step": result.best_step,
            "history": result.history,
            "notes": result.notes,
            "seed": self.seed,
        }
        write_json(out / "stage.json", note)
        record.keep(out)

    def job(self, inputs: Folders, process: Process) -> Job:
        """Open the stage's data, and say what it starts from and which heads it has."""
        from hft_core.training.encoding import Encoded
        from hft_core.training.job import Job
        from hft_core.training.memory import tokens_of_a_pass
        from hft_core.training.streams import LiveStream

        preprocessor = load_preprocessor(inputs["preprocessor"])
        tasks = {place.name: TaskRows.open(self.recipe, place, inputs) for place in self.tasks}
        contexts = {name: Stream(preprocessor, rows.roles, rows.task, rows.facts) for name, rows in tasks.items()}
        heard = [pair for pair in zip(self.stage.objectives, self.encodes, strict=True) if not pair[0].silent()]
        streams = [
            LiveStream.open(
                objective,
                head_name(objective),
                _context(objective.task, contexts, preprocessor),
                Encoded(inputs[node]),
                objective.batch_size or self.stage.batch_size,
                position,
                self.seed,
                fresh_variants(self.recipe, tasks[objective.task], objective, contexts[objective.task])
                if objective.task
                else None,
                tokens_of_a_pass(objective, self.stage.micro_batch),
            )
            for position, (objective, node) in enumerate(heard)
        ]
        start = inputs[self.before] / "model" if self.before else self.source
        return Job(
            stage=self.stage,
            model=self.recipe.model,
            start=start,
            preprocessor=preprocessor,
            streams=streams,
            heads=self._heads(contexts, preprocessor, start),
            seed=self.seed,
            precision=self.precision,
            validations=self._validations(tasks),
            best=self.best,
            work=process.work,
            stop=process.stop,
            say=process.say,
            advance=process.advance,
            tell=process.tell,
            metrics=self.text_metrics,
            strategy=self.recipe.strategy,
        )

    def _heads(
        self, contexts: Mapping[str, Stream], preprocessor: Preprocessor, start: Path | None
    ) -> dict[str, HeadSpec]:
        """The stage's own heads and those of earlier stages, and what its start has of those that are wanted later.

        Tasks' come first, for the first one names the model folder, and those of silent objectives last: a fresh net is
        drawn in this order, and is to be the same without them.
        """
        heads: dict[str, HeadSpec] = {}
        for stage in (self.stage, *self.earlier):
            for objective in sorted(stage.objectives, key=Objective.silent):
                context = _context(objective.task, contexts, preprocessor)
                heads.setdefault(head_name(objective), _head(objective, context))
        if self.source is not None and start is not None:
            heads |= self._kept(set(heads), contexts, preprocessor, start)
        order = [*(name for name in contexts if name in heads), *(name for name in heads if name not in contexts)]
        return {name: heads[name] for name in order}

    def _kept(
        self, heads: Set[str], contexts: Mapping[str, Stream], preprocessor: Preprocessor, start: Path
    ) -> dict[str, HeadSpec]:
        """Heads that no stage has trained so far and that the start has: of its run's tasks, and of later text objectives.

        One that gets new labels comes along without them: they are new in the stage that trains it.
        """
        wanted = {name: context.task.head(context.facts) for name, context in contexts.items() if context.task}
        plain = _context(None, contexts, preprocessor)
        wanted |= {name: _head(objective, plain) for name, objective in kept_heads(self.later).items()}
        wanted = {name: spec for name, spec in wanted.items() if name not in heads}
        if not wanted:
            return {}
        net = build_net(self.recipe, start, preprocessor, wanted)
        absent = net.new_heads - net.changed_labels.keys()
        return {
            name: _as_trained(spec, *net.changed_labels.get(name, ((), ())))
            for name, spec in wanted.items()
            if name not in absent
        }

    def _validations(self, tasks: Mapping[str, TaskRows]) -> list[Validation]:
        from hft_core.training.job import Validation

        return [
            Validation(
                name,
                tasks[name].task,
                tasks[name].facts,
                tasks[name].rows("validation"),
                metrics,
                prefix=f"{name}." if len(self.recipe.all_tasks) > 1 else "",
            )
            for name, metrics in self.metrics.items()
        ]


def _context(task: str | None, contexts: Mapping[str, Stream], preprocessor: Preprocessor) -> Stream:
    """What an objective sees of its data: the task's, or plain text."""
    return contexts[task] if task else Stream(preprocessor, Roles(()))


def _head(objective: Objective, context: Stream) -> HeadSpec:
    """The head that an objective trains."""
    task = None if objective.own_head else context.task
    asked = objective.head(context) if task is None else task.head(context.facts)
    if asked is None:
        raise TypeError(f"{type(objective).__name__} trains no task's head and names none of its own")
    return asked


def _as_trained(spec: HeadSpec, added: Sequence[str], gone: Sequence[str]) -> HeadSpec:
    """Give a head with the labels that it was trained for; the size of a factory's is not ours to change."""
    if not added or spec.factory is not None:
        return spec
    labels = (*(label for label in spec.labels if label not in added), *gone)
    return replace(spec, size=len(labels), labels=labels)


def kept_heads(later: Sequence[Stage]) -> dict[str, Objective]:
    """Of the objectives of later stages those on text, by their heads; a task's head may have other labels by then."""
    return {head_name(objective): objective for stage in later for objective in stage.objectives if not objective.task}
