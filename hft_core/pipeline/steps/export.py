"""Export of the model that ships."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from hft_core.components import Exporter, Finished, Metric, Preprocessor, TextCleaner
from hft_core.data.table import ROW, VARIANT
from hft_core.evidence import evaluation
from hft_core.pipeline.steps.common import (
    Folders,
    Process,
    TaskPlace,
    TaskRows,
    build_net,
    load_preprocessor,
    read_json,
    write_json,
)
from hft_core.recipe.model import Recipe


def export_step(
    recipe: Recipe, places: Sequence[TaskPlace], exporter: Exporter, metrics: Mapping[str, Sequence[Metric]], best: Metric,
    deciding: Sequence[str], evaluations: Mapping[str, Sequence[str]], finals: Sequence[str],
    plugins: Sequence[Mapping[str, Any]],
    out: Path, inputs: Folders, process: Process,
) -> None:  # fmt: skip
    """Export one task, or several together, of the seed that is best on validation by `deciding`.

    section.json is what the report shows.
    """
    shipped = evaluation.best_of([inputs[name] for name in deciding], best)
    preprocessor = load_preprocessor(inputs["preprocessor"])
    model_folder = inputs[finals[shipped]] / "model"
    tasks = {place.name: TaskRows.open(recipe, place, inputs) for place in places}
    heads = {name: rows.task.head(rows.facts) for name, rows in tasks.items()}
    net = build_net(recipe, model_folder, preprocessor, heads)
    evaluated = {name: inputs[evaluations[name][shipped]] for name in tasks}
    first, *others = (
        _finished(recipe, rows, metrics[name], net, preprocessor, model_folder, evaluated[name], shipped)
        for name, rows in tasks.items()
    )
    finished = replace(first, others=others, card={**first.card, "plugins": list(plugins)})
    (out / "files").mkdir()
    section = exporter.export(net, finished, out / "files", process.say)
    content = None
    if section is not None:
        content = {
            "title": section.title,
            "text": section.text,
            "table": list(section.table),
            "svg": section.svg,
            "passages": [asdict(passage) for passage in section.passages],
            "data": section.data,
            "refused": list(section.refused),
        }
    write_json(out / "section.json", content)


def _finished(
    recipe: Recipe, rows: TaskRows, metrics: Sequence[Metric], net: Any, preprocessor: Preprocessor,
    model: Path, evaluated: Path, shipped: int,
) -> Finished:  # fmt: skip
    """One task of the trained net."""
    from hft_core.training.inference import torch_call

    return Finished(
        name=recipe.name,
        head=rows.name,
        task=rows.task,
        facts=read_json(evaluated / "facts.json"),
        model=recipe.model,
        preprocessor=preprocessor,
        cleaners=[cleaner for cleaner in recipe.prepare.clean if isinstance(cleaner, TextCleaner)],
        validation={name: values for name, values in rows.raw("validation").items() if name not in (ROW, VARIANT)},
        metrics=metrics,
        call=torch_call(net, rows.name),
        folder=model,
        card={"seed": recipe.seed + shipped, **_test_figures(evaluated)},
        texts=recipe.report.texts,
    )


def _test_figures(folder: Path) -> dict[str, Any]:
    for split in ("test", "validation"):
        if (folder / f"{split}.json").is_file():
            return {"split": split, "figures": read_json(folder / f"{split}.json")["figures"]}
    return {}
