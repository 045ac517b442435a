"""Diagnosis: what went wrong in a run or could be better, with the evidence and the change of the recipe that it suggests.

Rules are plain functions of what a run has recorded. Each says nothing where it has no evidence, so all of them apply to every
task. Causes come first; symptoms (`fit`) are said only where no cause explains them.
"""

from __future__ import annotations

from collections.abc import Sequence

from hft_core.evidence.diagnosis import fit, rates, rows
from hft_core.evidence.diagnosis.finding import Finding as Finding
from hft_core.evidence.diagnosis.seen import ObjectiveSeen as ObjectiveSeen
from hft_core.evidence.diagnosis.seen import Seen as Seen
from hft_core.evidence.diagnosis.seen import StageSeen as StageSeen
from hft_core.evidence.diagnosis.seen import TaskSeen as TaskSeen


def diagnose(seen: Seen) -> list[Finding]:
    """Give all findings: causes in training, then in the rows, then symptoms that none of them explains."""
    trained_by = {task.stage: task for task in seen.tasks if task.stage is not None}
    causes = [found for stage in seen.stages for found in rates.of_training(stage, trained_by.get(stage.index))]
    blamed = {found.where for found in causes}
    symptoms: list[Finding] = []
    for task in seen.tasks:
        own = [*rows.label_noise(task), *rows.truncated_texts(task), *rows.imbalance(task)]
        causes += own
        stage = next((stage for stage in seen.stages if stage.index == task.stage), None)
        if stage is not None and not own and not blamed & _before(seen.stages, stage):
            symptoms += next(filter(None, (list(rule(task, stage)) for rule in _SYMPTOMS)), [])
    return causes + symptoms


_SYMPTOMS = (fit.one_class, fit.unstable, fit.over_fitting, fit.under_fitting)


def _before(stages: Sequence[StageSeen], last: StageSeen) -> set[str]:
    """The names of the stages up to this one."""
    return {stage.name for stage in stages if stage.index <= last.index}
