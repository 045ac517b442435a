"""A recipe that tuning trains and measures, and what is diagnosed in it."""

from __future__ import annotations

from dataclasses import dataclass

from hft_core.evidence.diagnosis import Seen
from hft_core.pipeline.gates_run import Carrier
from hft_core.pipeline.nodes import with_inputs
from hft_core.pipeline.plan import Plan, TaskPlan
from hft_core.pipeline.plan_arms import Arm, build_arm, deciding, stages_of_seeds
from hft_core.pipeline.plan_evidence import baselines_node, diagnosis_node
from hft_core.pipeline.plan_stages import evaluation_node
from hft_core.pipeline.report_diagnosis import seen
from hft_core.recipe.load import LoadedRecipe
from hft_core.registry import Registry


@dataclass(frozen=True)
class Candidate:
    """A recipe and the arm that measures it."""

    loaded: LoadedRecipe
    arm: Arm

    @classmethod
    def of(cls, loaded: LoadedRecipe, registry: Registry, title: str, folds: bool) -> Candidate:
        """Make the arm; nothing is trained."""
        return cls(loaded, build_arm(loaded, registry, title, folds))

    def diagnosed(self, registry: Registry, carrier: Carrier, fold: int) -> Seen:
        """Look at what was trained, beside baselines on validation; the test takes no part. With folds at this one alone."""
        plan = self._signs(registry, fold)
        carrier.make(plan.nodes)
        return seen(self.loaded, plan, {node.name: carrier.store.folder(node.key) for node in plan.nodes})

    def _signs(self, registry: Registry, fold: int) -> Plan:
        """The plan of what a diagnosis of the task that decides goes by."""
        task = deciding(self.loaded, registry)[0].task
        stages = stages_of_seeds(self.loaded, registry, self.arm.folds)[fold]
        seeds = [fold] if self.arm.folds else range(self.loaded.recipe.evaluate.seeds)
        chains = [stages.chain(seed) for seed in seeds]
        evaluations = [
            evaluation_node(stages, task, seed, chain[-1], ["validation"])
            for seed, chain in zip(seeds, chains, strict=True)
        ]
        settled = stages.recipe.all_tasks[task].target_form
        baselines = baselines_node(stages, task, ["validation"]) if settled else None
        signs = diagnosis_node(stages, task, chains, evaluations)
        nodes = with_inputs([node for node in (*evaluations, baselines, signs) if node is not None])
        of_task = TaskPlan(
            splits=stages.data.splits[task],
            augment=None,
            checks=None,
            before=None,
            baselines=baselines,
            plain=[],
            evaluations=evaluations,
            exports=[],
            diagnosis=signs,
        )
        return Plan(nodes, {task: of_task}, {}, [], chains, stages.precision, stages.metrics)
