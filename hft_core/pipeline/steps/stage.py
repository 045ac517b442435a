"""Training one stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hft_core.components import HeadSpec, Metric, Objective, Preprocessor, Roles, Stream
from hft_core.pipeline.steps.common import Folders, Process, TaskPlace, TaskRows, load_preprocessor, write_json
from hft_core.recipe.metrics import Best
from hft_core.recipe.model import Recipe, Stage
from hft_core.recipe.sources import head_name

if TYPE_CHECKING:
    from hft_core.training.job import Validation


@dataclass(frozen=True)
class StageStep:
    """Trains one stage; leaves `model/`, a plain model folder with its preprocessor, and stage.json."""

    recipe: Recipe
    stage: Stage
    earlier: Sequence[Stage]
    """The stages before it: their heads are carried along, so that a later stage finds them."""
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
        """Train, and write the best weights."""
        from hft_core.training.encoding import load_arrays
        from hft_core.training.job import Job
        from hft_core.training.loop import train
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
                load_arrays(inputs[node]),
                self.stage.batch_size,
                position,
                self.seed,
            )
            for position, (objective, node) in enumerate(heard)
        ]
        result = train(
            Job(
                stage=self.stage,
                model=self.recipe.model,
                start=inputs[self.before] / "model" if self.before else self.source,
                preprocessor=preprocessor,
                streams=streams,
                heads=self._heads(contexts, preprocessor),
                seed=self.seed,
                precision=self.precision,
                validations=self._validations(tasks),
                best=self.best,
                work=process.work,
                stop=process.stop,
                say=process.say,
                advance=process.advance,
                metrics=self.text_metrics,
            )
        )
        (out / "model").mkdir()
        result.net.save(out / "model")
        preprocessor.save(out / "model")
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

    def _heads(self, contexts: Mapping[str, Stream], preprocessor: Preprocessor) -> dict[str, HeadSpec]:
        """The stage's own heads and those of earlier stages.

        Tasks' come first, for the first one names the model folder, and those of silent objectives last: a fresh net is
        drawn in this order, and is to be the same without them.
        """
        heads: dict[str, HeadSpec] = {}
        for stage in (self.stage, *self.earlier):
            for objective in sorted(stage.objectives, key=Objective.silent):
                context = _context(objective.task, contexts, preprocessor)
                asked = objective.head(context) if context.task is None else context.task.head(context.facts)
                if asked is None:
                    raise TypeError(f"{type(objective).__name__} trains no task and names no head of its own")
                heads.setdefault(head_name(objective), asked)
        order = [*(name for name in contexts if name in heads), *(name for name in heads if name not in contexts)]
        return {name: heads[name] for name in order}

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
