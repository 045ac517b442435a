"""Gathers what a run knows into report.json, and writes the HTML report and the model card from it."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hft_core.data.prepare import Prepared
from hft_core.evidence import evaluation
from hft_core.pipeline.nodes import Node
from hft_core.pipeline.plan import Plan
from hft_core.pipeline.steps.common import read_json, write_json
from hft_core.recipe.load import LoadedRecipe
from hft_core.recipe.metrics import best_metric, deciding_metrics, task_metrics
from hft_core.recipe.model import Recipe
from hft_core.recipe.sources import title_of
from hft_core.registry import Registry

_PACKAGES = ("hft-core", "torch", "transformers", "accelerate", "datasets", "tokenizers", "onnxruntime", "numpy")


def write_report(
    loaded: LoadedRecipe, registry: Registry, plan: Plan, folders: Mapping[str, Path], out: Path, target: Path
) -> int:
    """Write report.json, report.html, README.md (the card) and recipe.yaml into `out`; gives the seed's index that ships."""
    from hft_core.report.card import render_card
    from hft_core.report.html import render

    recipe = loaded.recipe
    best = best_metric(recipe, plan.metrics)
    deciding = plan.tasks[best.task] if best else None
    evaluated = [folders[node.name] for node in deciding.evaluations] if deciding else []
    shipped = evaluation.best_of(evaluated, best.metric) if best and evaluated else 0
    split = "test" if evaluated and (evaluated[0] / "test.json").is_file() else "validation"
    seeds = [recipe.seed + index for index in range(recipe.evaluate.seeds)]
    checks, warnings = _checks(plan, folders)
    sections = [section for node in plan.exports if (section := read_json(folders[node.name] / "section.json"))]
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
        "recipe": _recipe_text(loaded),
        "headline": {"split": split, "metric": best.title, "greater_is_better": best.metric.greater_is_better}
        if best and evaluated
        else None,
        "headlines": _headlines(recipe, plan, folders),
        "intervals": "95 %, over rows, one seed" if len(seeds) == 1 else f"95 %, over rows and {len(seeds)} seeds",
        "metrics": _metrics(recipe, plan, folders, shipped),
        "baselines": _baselines(recipe, plan, folders),
        **_details(evaluated, split, shipped),
        "ledger": _ledger(recipe, plan, folders),
        "checks": checks,
        "stages": [_stage(node, folders[node.name]) for node in plan.stages[shipped]],
        "sections": [{key: section[key] for key in section if key != "refused"} for section in sections],
        "refused": refused,
        "warnings": warnings + refused + _not_loaded(registry),
        "environment": _environment(plan),
        "next": _next(target, _bundles(plan, recipe, folders), bool(evaluated)),
    }
    write_json(out / "report.json", content)
    (out / "report.html").write_text(render(content), encoding="utf-8")  # type: ignore[arg-type]  # the shape of Report
    (out / "README.md").write_text(render_card(content), encoding="utf-8")  # type: ignore[arg-type]  # the shape of Report
    (out / "recipe.yaml").write_text(content["recipe"], encoding="utf-8")
    return shipped


def _not_loaded(registry: Registry) -> list[str]:
    broken = [plugin for plugin in registry.plugins if plugin.problem and not plugin.disabled]
    return [f"plugin {plugin.title} was not loaded: {plugin.problem}" for plugin in broken]


def _headlines(recipe: Recipe, plan: Plan, folders: Mapping[str, Path]) -> list[dict[str, str]]:
    """The figure that people look at first, for each task: that which decides, or its first one."""
    best = best_metric(recipe, plan.metrics)
    found = []
    for name, task in plan.tasks.items():
        own = [one.title for one in deciding_metrics(recipe, plan.metrics) if one.task == name]
        if task.evaluations and own:
            on_test = (folders[task.evaluations[0].name] / "test.json").is_file()
            title = best.title if best and best.task == name else own[0]
            found.append({"split": "test" if on_test else "validation", "metric": title})
    return found


def _metrics(recipe: Recipe, plan: Plan, folders: Mapping[str, Path], shipped: int) -> dict[str, Any]:
    """Figures with intervals by split; with several tasks their names begin with the task's."""
    found: dict[str, dict[str, Any]] = {}
    for name, task in plan.tasks.items():
        evaluated = [folders[node.name] for node in task.evaluations]
        if evaluated:
            for split, figures in _figures(recipe, name, plan, folders, evaluated, shipped).items():
                found.setdefault(split, {}).update(figures)
    return found


def _figures(
    recipe: Recipe, name: str, plan: Plan, folders: Mapping[str, Path], measured: Sequence[Path], shipped: int = 0
) -> dict[str, dict[str, Any]]:
    metrics = task_metrics(recipe.all_tasks[name], plan.metrics)
    facts = Prepared.load(folders[plan.tasks[name].train.name]).facts
    prefix = f"{name}." if len(plan.tasks) > 1 else ""
    found = {
        split: evaluation.figures(measured, split, metrics, facts, recipe.seed, shipped)
        for split in ("validation", "test")
    }
    return {
        split: {prefix + title: figure for title, figure in figures.items()}
        for split, figures in found.items()
        if figures
    }


def _baselines(recipe: Recipe, plan: Plan, folders: Mapping[str, Path]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, task in plan.tasks.items():
        for folder in sorted(folders[task.baselines.name].iterdir()) if task.baselines else ():
            if folder.is_dir():
                own = result.setdefault(folder.name, {})
                for split, figures in _figures(recipe, name, plan, folders, [folder]).items():
                    own.setdefault(split, {}).update(figures)
    return result


def _details(evaluated: Sequence[Path], split: str, shipped: int) -> dict[str, Any]:
    """Errors of the model that ships on the task that decides and, where that has labels, figures per class and confusion."""
    nothing: dict[str, Any] = {"per_class": [], "confusion": None, "errors": []}
    if not evaluated:
        return nothing
    content = read_json(evaluated[shipped] / f"{split}.json")
    if "pairs" not in content:
        return nothing | {"errors": content["errors"]}
    seen = {str(label) for pair in content["pairs"] for label in pair}
    known = list(map(str, read_json(evaluated[shipped] / "facts.json").get("labels", ())))
    labels = [*known, *sorted(seen - set(known))]
    places = {label: index for index, label in enumerate(labels)}
    matrix = [[0] * len(labels) for _ in labels]
    for truth, found in content["pairs"]:
        matrix[places[str(truth)]][places[str(found)]] += 1
    per_class = []
    for index, label in enumerate(labels):
        hits, support, predicted = matrix[index][index], sum(matrix[index]), sum(row[index] for row in matrix)
        per_class.append(
            {
                "label": label,
                "precision": hits / predicted if predicted else 0.0,
                "recall": hits / support if support else 0.0,
                "f1": 2 * hits / (support + predicted) if support + predicted else 0.0,
                "support": support,
            }
        )
    return {"per_class": per_class, "confusion": {"labels": labels, "matrix": matrix}, "errors": content["errors"]}


def _ledger(recipe: Recipe, plan: Plan, folders: Mapping[str, Path]) -> list[dict[str, Any]]:
    unknown = _unknown_rates(plan, folders)
    ledgers: dict[str, Any] = {}
    for task_name, task in plan.tasks.items():
        for split, node in task.splits.items():
            ledgers[title_of(recipe, task_name, split)] = Prepared.load(folders[node.name]).ledger[split]
        if task.augment:
            title = title_of(recipe, task_name, "train")
            made = read_json(folders[task.augment.name] / "augmented.json")
            train = ledgers[title]
            ledgers[title] = train | {"made": made["made"], "examples": train["examples"] | made["examples"]}
    for name, node in plan.texts.items():
        ledgers[name] = Prepared.load(folders[node.name]).ledger["text"]
    rows = []
    for name, ledger in ledgers.items():
        dropped = [
            {"component": component if colon else "clean", "reason": reason.strip() or component, "rows": count}
            for (component, colon, reason), count in (
                (key.partition(":"), count) for key, count in ledger["dropped"].items()
            )
        ]
        if ledger["moved"]:
            dropped.append({"component": "split", "reason": "set aside for other splits", "rows": ledger["moved"]})
        edits = [
            {"component": component, "before": before, "after": after}
            for component, examples in ledger["examples"].items()
            for before, after in examples
        ]
        rows.append(
            {
                "name": name,
                "read": ledger["read"],
                "kept": ledger["kept"],
                "quarantined": ledger["quarantined"],
                "dropped": dropped,
                "made": ledger["made"],
                "unknown_rate": unknown.get(name),
                "edits": edits,
            }
        )
    return rows


def _unknown_rates(plan: Plan, folders: Mapping[str, Path]) -> dict[str, float]:
    """Share of unknown pieces per source, from the first encoding that read it alone (or with others)."""
    rates: dict[str, float] = {}
    for node in sorted(plan.encodes, key=lambda node: len(node.details["sources"])):
        rate = read_json(folders[node.name] / "encoded.json")["unknown_rate"]
        for name in node.details["sources"] if rate is not None else ():
            rates.setdefault(name, rate)
    return rates


def _checks(plan: Plan, folders: Mapping[str, Path]) -> tuple[list[Any], list[str]]:
    checks: list[Any] = []
    for task in plan.tasks.values():
        checks += read_json(folders[task.checks.name] / "checks.json")
        for node in {node.name: node for node in task.splits.values()}.values():
            checks += Prepared.load(folders[node.name]).checks
        for name, count in (
            read_json(folders[task.augment.name] / "augmented.json")["made"].items() if task.augment else ()
        ):
            if not count:
                title = f"{name} made no variant"
                detail = "It found nothing to change; is it meant for this language, or does it need a table?"
                checks.append({"severity": "warning", "title": title, "detail": detail})
    for name, rate in _unknown_rates(plan, folders).items():
        severity = "warning" if rate > 0.05 else "ok"
        advice = "Choose a model of this language, or train a tokenizer." if rate > 0.05 else "Under 5 % is fine."
        checks.append({"severity": severity, "title": f"{rate:.1%} unknown pieces in {name}", "detail": advice})
    return checks, [check["title"] for check in checks if check["severity"] in ("warning", "error")]


def _stage(node: Node, folder: Path) -> dict[str, Any]:
    note = read_json(folder / "stage.json")
    best = [f"best at step {note['best_step']} of {note['steps']}"] if note["best_step"] else []
    return {
        "name": node.name.removeprefix("stage "),
        "kind": node.parts["settings"]["stage"]["stage"],
        "seconds": note["seconds"],
        "steps": note["steps"],
        "curves": note["history"],
        "notes": [*best, *note["notes"]],
    }


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


def _bundles(plan: Plan, recipe: Recipe, folders: Mapping[str, Path]) -> list[str]:
    """The folders of the run with bundles, see `export_folders`."""
    found = export_folders(plan, recipe, folders)
    return [folder for node, folder in found.items() if (folders[node] / "files" / "bundle.json").is_file()]


def export_folders(plan: Plan, recipe: Recipe, folders: Mapping[str, Path]) -> dict[str, str]:
    """Where each export lies in the run: the first bundle of a task is called `bundle`, with several tasks `bundle-TASK`."""
    result: dict[str, str] = {}
    for name, task in plan.tasks.items():
        first = f"bundle-{name}" if len(plan.tasks) > 1 else "bundle"
        for node in task.exports:
            is_bundle = (folders[node.name] / "files" / "bundle.json").is_file()
            free = first not in result.values()
            result[node.name] = first if is_bundle and free else node.name.removeprefix("export ")
    return result


def _next(target: Path, bundles: Sequence[str], evaluated: bool) -> list[dict[str, str]]:
    shown = _short(target)
    if not evaluated:
        return [{"command": f"source: {shown}", "purpose": "as the model's source in a recipe that fine-tunes"}]
    if bundles:
        return [
            {"command": f'hft predict {shown}/{bundles[0]} "…"', "purpose": "predict with the bundle, without torch"},
            {"command": f"hft verify {shown}/{bundles[0]}", "purpose": "check the bundle on another machine"},
        ]
    return [{"command": f"hft export {shown}", "purpose": "make a verified ONNX bundle"}]


def _short(path: Path) -> str:
    """The path as one would type it here."""
    try:
        return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
    except ValueError:
        return str(path)
