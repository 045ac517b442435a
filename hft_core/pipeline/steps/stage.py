"""Training one stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hft_core.components import HeadSpec, Metric, Objective, Roles, Stream, Task
from hft_core.data.prepare import Prepared
from hft_core.data.table import read_all
from hft_core.pipeline.steps.common import MAIN, Folders, Process, bound_task, load_preprocessor, write_json
from hft_core.recipe.metrics import best_metric, task_metrics, text_metrics
from hft_core.recipe.model import Recipe, Stage

if TYPE_CHECKING:
    from hft_core.training.loop import Validation


@dataclass(frozen=True)
class StageStep:
    """Trains one stage; leaves `model/`, a plain model folder with its preprocessor, and stage.json."""

    recipe: Recipe
    stage: Stage
    earlier: Sequence[Stage]
    """The stages before it: their heads are carried along, so that a later stage finds them."""
    seed: int
    precision: str
    metrics: Sequence[Metric]
    source: Path | None
    """What the first stage starts from."""
    before: str | None
    """The node of the stage before."""
    encodes: Sequence[str]
    """The nodes with the objectives' encoded data."""

    def __call__(self, out: Path, inputs: Folders, process: Process) -> None:
        """Train, and write the best weights."""
        from hft_core.training.encoding import load_arrays
        from hft_core.training.loop import Job, train
        from hft_core.training.streams import LiveStream

        preprocessor = load_preprocessor(inputs["preprocessor"])
        prepared = Prepared.load(inputs["prepare"]) if "prepare" in inputs else None
        task = bound_task(self.recipe.task, prepared) if self.recipe.task and prepared else None
        context = Stream(
            preprocessor, prepared.roles if prepared else Roles(()), task, prepared.facts if prepared else {}
        )
        streams = [
            LiveStream.open(
                objective,
                head_name(objective),
                context,
                load_arrays(inputs[node]),
                self.stage.batch_size,
                position,
                self.seed,
            )
            for position, (objective, node) in enumerate(zip(self.stage.objectives, self.encodes, strict=True))
        ]
        result = train(
            Job(
                stage=self.stage,
                model=self.recipe.model,
                start=inputs[self.before] / "model" if self.before else self.source,
                preprocessor=preprocessor,
                streams=streams,
                heads=self._heads(context),
                seed=self.seed,
                precision=self.precision,
                validation=self._validation(task, prepared),
                work=process.work,
                stop=process.stop,
                say=process.say,
                advance=process.advance,
                metrics=text_metrics(self.stage, self.metrics),
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

    def _heads(self, context: Stream) -> dict[str, HeadSpec]:
        """The stage's own heads and those of earlier stages; the task's comes first, for it names the model folder."""
        heads: dict[str, HeadSpec] = {}
        for stage in (self.stage, *self.earlier):
            for objective in stage.objectives:
                asked = objective.head(context)
                if asked is None:
                    if context.task is None:
                        raise TypeError(f"{type(objective).__name__} trains no task and names no head of its own")
                    asked = context.task.head(context.facts)
                heads.setdefault(head_name(objective), asked)
        return dict(sorted(heads.items(), key=lambda item: item[0] != MAIN))

    def _validation(self, task: Task | None, prepared: Prepared | None) -> Validation | None:
        from hft_core.training.loop import Validation

        best = best_metric(self.recipe, self.metrics)
        if self.stage.stage != "finetune" or task is None or prepared is None or best is None:
            return None
        own = task_metrics(self.recipe, self.metrics)
        return Validation(MAIN, task, prepared.facts, read_all(prepared.file("validation")), own, best)


def head_name(objective: Objective) -> str:
    """The head that an objective trains: the task's, or its own under its name."""
    return MAIN if objective.needs_task else (objective.name or objective.type_name())
