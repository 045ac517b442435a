"""Gathers what a run knows into report.json, and writes the HTML report and the model card from it."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hft_core.evidence import evaluation
from hft_core.pipeline import (
    report_data,
    report_diagnosis,
    report_evidence,
    report_figures,
    report_lineage,
    report_slices,
)
from hft_core.pipeline.gates import Settled
from hft_core.pipeline.nodes import Node
from hft_core.pipeline.plan import Plan
from hft_core.pipeline.scored import note_scored
from hft_core.pipeline.steps.common import read_json
from hft_core.recipe.load import LoadedRecipe
from hft_core.recipe.metrics import best_metric
from hft_core.recipe.model import Recipe, Stage
from hft_core.recipe.words import typed
from hft_core.registry import Registry
from hft_core.store.store import Store
from hft_core.store.strict_json import plain, strict_json

_LARGEST = 700.0
"""A loss whose exponential is still a number."""
_PACKAGES = ("hft-core", "torch", "transformers", "accelerate", "datasets", "tokenizers", "onnxruntime", "numpy")


def write_report(
    asked: LoadedRecipe, settled: Settled, registry: Registry, plan: Plan, store: Store, folders: Mapping[str, Path],
    out: Path, target: Path,
) -> int:  # fmt: skip
    """Write report.json, report.html, README.md (the card) and recipe.yaml into `out`; gives the seed's index that ships.

    `asked` is the recipe as it was given, `settled` what gates left of it.
    """
    from hft_core.report.card import render_card
    from hft_core.report.html import render
    from hft_core.report.texts import without_texts

    recipe = settled.loaded.recipe
    best = best_metric(recipe, plan.metrics)
    deciding = plan.tasks[best.task] if best else None
    evaluated = [folders[node.name] for node in deciding.evaluations] if deciding else []
    shipped = evaluation.best_of(evaluated, best.metric) if best and evaluated else 0
    split = "test" if evaluated and (evaluated[0] / "test.json").is_file() else "validation"
    seeds = [recipe.seed + index for index in range(recipe.evaluate.seeds)]
    checks, warnings = report_data.checks(plan, folders)
    sections = [section for node in plan.exports if (section := read_json(folders[node.name] / "section.json"))]
    slices = report_slices.slices(recipe, plan, folders, split, shipped)
    comparisons, uncompared = report_evidence.comparisons(recipe, plan, folders, split)
    retained, unknown = report_evidence.retained(recipe, plan, folders)
    refused = [refusal for section in sections for refusal in section["refused"]]
    content: dict[str, Any] = {
        "format": 1,
        "name": recipe.name,
        "created": datetime.now().astimezone().isoformat(timespec="seconds"),
        "hft": version("hft-core"),
        "seeds": seeds,
        "task": ", ".join(dict.fromkeys(task.type_name() for task in recipe.all_tasks.values())) or None,
        "model": recipe.model.describe(),
        "base_model": recipe.model.hub_name(),
        "recipe": _recipe_text(settled.loaded),
        "headline": {"split": split, "metric": best.title, "greater_is_better": best.metric.greater_is_better}
        if best and evaluated
        else None,
        "headlines": report_figures.headlines(recipe, plan, folders),
        "intervals": "95 %, over rows, one seed" if len(seeds) == 1 else f"95 %, over rows and {len(seeds)} seeds",
        "metrics": report_figures.metrics(recipe, plan, folders, shipped),
        "baselines": report_figures.baselines(recipe, plan, folders),
        "comparisons": comparisons,
        "by_seed": report_evidence.by_seed(recipe, plan, folders, split),
        "gates": report_evidence.gates(settled),
        "scored": note_scored(plan, store, folders, target),
        **report_figures.details(evaluated, split, shipped),
        "other_tasks": report_figures.other_tasks(plan, best.task if best else None, folders, shipped),
        "slices": slices,
        "sources": report_lineage.sources(recipe),
        "lineage": report_lineage.lineage(recipe),
        "license": recipe.report.license,
        "ablation": report_lineage.ablation(target, asked.raw),
        "measured": report_figures.measured_rows(evaluated),
        "cost": report_figures.cost(plan, folders),
        "ledger": report_data.ledger(recipe, plan, folders),
        "checks": checks,
        "diagnosis": report_diagnosis.findings(settled.loaded, plan, folders),
        "retained": retained,
        "stages": [
            _stage(node, folders[node.name], stage)
            for node, stage in zip(plan.stages[shipped], recipe.stages, strict=True)
        ],
        "sections": [{key: section[key] for key in section if key != "refused"} for section in sections],
        "refused": refused,
        "warnings": [
            *warnings,
            *report_evidence.gate_warnings(settled.decisions),
            *report_evidence.divergence_warnings(plan, store, folders),
            *uncompared,
            *unknown,
            *report_slices.weak(slices, best),
            *refused,
            *_not_loaded(registry),
        ],
        "environment": _environment(plan),
        "search": None,  # hft search puts in what it has found
        "next": _next(target, _bundles(plan, recipe, folders), bool(evaluated)),
    }
    if not recipe.report.texts:
        content = without_texts(content)
    content = plain(content)  # the page and the card are made of what the file says, now as later
    (out / "report.json").write_text(strict_json(content, indent=1) + "\n", encoding="utf-8")
    (out / "report.html").write_text(render(content), encoding="utf-8")  # type: ignore[arg-type]  # the shape of Report
    (out / "README.md").write_text(render_card(content), encoding="utf-8")  # type: ignore[arg-type]  # the shape of Report
    (out / "recipe.yaml").write_text(content["recipe"], encoding="utf-8")
    return shipped


def _not_loaded(registry: Registry) -> list[str]:
    broken = [plugin for plugin in registry.plugins if plugin.problem and not plugin.disabled]
    return [f"plugin {plugin.title} was not loaded: {plugin.problem}" for plugin in broken]


def _stage(node: Node, folder: Path, stage: Stage) -> dict[str, Any]:
    note = read_json(folder / "stage.json")
    best = [f"best at step {note['best_step']} of {note['steps']}"] if note["best_step"] else []
    return {
        "name": node.name.removeprefix("stage "),
        "kind": node.parts["settings"]["stage"]["stage"],
        "seconds": note["seconds"],
        "steps": note["steps"],
        "curves": note["history"],
        "notes": [*best, *note["notes"]],
        "perplexity": _perplexities(note, stage) if stage.stage == "pretrain" else [],
    }


def _perplexities(note: Mapping[str, Any], stage: Stage) -> list[dict[str, Any]]:
    """What each objective's held-out text was worth to the model before the stage, and is to the one that it leaves."""
    points = {point["step"]: point["validation"] for point in note["history"] if "validation" in point}
    last = note["best_step"] or max(points, default=0)
    found = []
    for objective in stage.objectives:
        loss = f"{objective.title} loss"
        if {"nll", "tokens"} <= objective.gives and loss in points.get(0, {}) and loss in points.get(last, {}):
            before, after = (math.exp(min(points[step][loss], _LARGEST)) for step in (0, last))
            found.append({"objective": objective.title, "before": before, "after": after, "step": last})
    return found


def _recipe_text(loaded: LoadedRecipe) -> str:
    from io import StringIO

    from ruamel.yaml import YAML

    stream = StringIO()
    yaml = YAML()
    yaml.width = 110
    yaml.dump(loaded.raw, stream)
    return stream.getvalue()


def _environment(plan: Plan) -> dict[str, Any]:
    import torch

    versions = {name: version(name) for name in _PACKAGES}
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor() or platform.machine()
    return {
        "versions": {"python": platform.python_version(), **versions},
        "device": device,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "precision": plan.precision,
        "system": platform.platform(terse=True),
    }


def _bundles(plan: Plan, recipe: Recipe, folders: Mapping[str, Path]) -> dict[str, Any]:
    """The bundles of the run by their folders, see `export_folders`, with what each says of itself."""
    files = {
        folder: folders[node] / "files" / "bundle.json"
        for node, folder in export_folders(plan, recipe, folders).items()
    }
    return {folder: read_json(file) for folder, file in files.items() if file.is_file()}


def export_folders(plan: Plan, recipe: Recipe, folders: Mapping[str, Path]) -> dict[str, str]:
    """Where each export lies in the run: the first bundle of a task is called `bundle`, with several tasks `bundle-TASK`.

    That of all tasks together is called `bundle`.
    """
    several = len(plan.tasks) > 1
    firsts = [
        (f"bundle-{name}" if several else "bundle", node) for name, task in plan.tasks.items() for node in task.exports
    ]
    firsts += [("bundle", node) for node in plan.joined]
    result: dict[str, str] = {}
    for first, node in firsts:
        is_bundle = (folders[node.name] / "files" / "bundle.json").is_file()
        free = first not in result.values()
        result[node.name] = first if is_bundle and free else node.name.removeprefix("export ")
    return result


def _next(target: Path, bundles: Mapping[str, Any], evaluated: bool) -> list[dict[str, str]]:
    if not evaluated:
        return [{"command": f"source: {typed(target)}", "purpose": "as the model's source in a recipe that fine-tunes"}]
    if bundles:
        folder, description = next(iter(bundles.items()))
        texts = " ".join('"…"' for _ in description["text"])
        asked = "--file rows.jsonl" if description.get("inputs") else texts
        return [
            {
                "command": f"hft predict {typed(target / folder)} {asked}",
                "purpose": "predict with the bundle, without torch",
            },
            {"command": f"hft verify {typed(target / folder)}", "purpose": "check the bundle on another machine"},
        ]
    return [{"command": f"hft export {typed(target)}", "purpose": "make a verified ONNX bundle"}]
