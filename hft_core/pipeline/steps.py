"""The work of each kind of node: from the folders of its inputs into an empty folder of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from hft_core.components import (
    Exporter,
    Facts,
    Finished,
    HeadSpec,
    Metric,
    Model,
    Objective,
    Preprocessor,
    Reader,
    Stream,
    Task,
    TextCleaner,
)
from hft_core.data.prepare import Prepared, prepare_task, prepare_text
from hft_core.data.table import read_all, read_table
from hft_core.evidence import evaluation
from hft_core.recipe.model import SPLITS, Recipe, Stage
from hft_core.training.stopping import StopRequest

Folders = Mapping[str, Path]
MAIN = "main"
"""The name of a recipe's only task, and of its head."""


@dataclass
class Process:
    """What a step gets from the process that runs it, apart from its inputs."""

    say: Callable[[str], None] = lambda text: None
    advance: Callable[[int, int, dict[str, float]], None] = lambda step, steps, figures: None
    stop: StopRequest = field(default_factory=StopRequest)
    work: Path = Path()
    """Where checkpoints of the current node go."""


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, Chinese as Chinese."""
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def load_preprocessor(folder: Path) -> Preprocessor:
    """Restore the preprocessor that a node saved."""
    note = read_json(folder / "preprocessor.json")
    preprocessor: Preprocessor = import_module(note["module"]).load(folder, note["settings"])
    return preprocessor


def bound_task(task: Task, prepared: Prepared) -> Task:
    """The recipe's task with the columns that preparation settled."""
    return task.model_copy(
        update={key: value for key, value in prepared.bound.items() if key in type(task).model_fields}
    )


# ---- data ----


def prepare_task_step(
    recipe: Recipe, sources: Mapping[str, Reader], out: Path, inputs: Folders, process: Process
) -> None:
    """Read, split, clean, check and augment the task's rows."""
    assert recipe.task is not None
    prepare = recipe.prepare
    prepare_task(recipe.task, sources, recipe.data.split, prepare.clean, prepare.augment, recipe.seed, out)
    content = read_json(out / "prepared.json")
    for name, ledger in content["ledger"].items():
        made = f", made {sum(ledger['made'].values())}" if ledger["made"] else ""
        process.say(
            f"{name}: read {ledger['read']}, kept {ledger['kept']}, quarantined {sum(ledger['quarantined'].values())}, "
            f"dropped {sum(ledger['dropped'].values())}{made}"
        )
    for check in content["checks"]:
        if check["severity"] in ("warning", "error"):
            process.say(f"{check['severity']}: {check['title']}")


def prepare_text_step(recipe: Recipe, reader: Reader, name: str, out: Path, inputs: Folders, process: Process) -> None:
    """Read and clean a source of unlabelled text; its file is called text.arrow."""
    prepare_text(reader, "text", "text", recipe.prepare.clean, out)
    ledger = read_json(out / "prepared.json")["ledger"]["text"]
    process.say(f"{name}: read {ledger['read']}, kept {ledger['kept']}")


def preprocessor_step(model: Model, start: Path | None, out: Path, inputs: Folders, process: Process) -> None:
    """Load the model's preprocessor, or train it on the cleaned texts of the inputs."""
    preprocessor = model.preprocessor(start, _texts(inputs))
    preprocessor.save(out)
    write_json(out / "preprocessor.json", {"module": preprocessor.module, "settings": preprocessor.settings()})
    if model.learns_preprocessor():
        process.say(f"trained a preprocessor with {preprocessor.vocabulary} tokens")


def _texts(inputs: Folders) -> Any:
    """All original texts of the training split and of unlabelled sources."""
    for folder in inputs.values():
        prepared = Prepared.load(folder)
        for split in ("train", "text"):
            for columns in read_table(prepared.file(split)):
                for name in prepared.roles.text:
                    for index, text in enumerate(columns[name]):
                        if columns["_variant"][index] == 0:
                            yield text


def encode_step(
    recipe: Recipe, objective: Objective, names: Sequence[str], out: Path, inputs: Folders, process: Process
) -> None:
    """Tokenise the rows of an objective once for all epochs, stages and seeds."""
    from hft_core.training.encoding import encode_files, save_arrays

    preprocessor = load_preprocessor(inputs["preprocessor"])
    files, streams = [], []
    for name in names:
        own = recipe.task is not None and name in SPLITS
        prepared = Prepared.load(inputs["prepare" if own else f"prepare {name}"])
        files.append(prepared.file(name if own else "text"))
        task = bound_task(recipe.task, prepared) if recipe.task and own else None
        streams.append(Stream(preprocessor, prepared.roles, task, prepared.facts))
    arrays = encode_files(objective, files, streams)
    save_arrays(arrays, out)
    unknown = preprocessor.unknown_rate(arrays)
    write_json(out / "encoded.json", {"sources": list(names), "entries": len(arrays["row"]), "unknown_rate": unknown})
    if unknown > 0.05:
        process.say(
            f"warning: {unknown:.0%} of the pieces of {', '.join(names)} are unknown to the tokenizer; choose a model of "
            "this language, or train a tokenizer ({scratch: …, tokenizer: …})"
        )


# ---- training ----


def stage_step(
    recipe: Recipe, stage: Stage, seed: int, precision: str, metrics: Sequence[Metric], source: Path | None,
    before: str | None, encodes: Sequence[str], out: Path, inputs: Folders, process: Process,
) -> None:  # fmt: skip
    """Train one stage; `model/` is a plain model folder with its preprocessor, stage.json tells how it went."""
    from hft_core.training.encoding import load_arrays
    from hft_core.training.loop import Job, train
    from hft_core.training.streams import LiveStream

    preprocessor = load_preprocessor(inputs["preprocessor"])
    prepared = Prepared.load(inputs["prepare"]) if "prepare" in inputs else None
    task = bound_task(recipe.task, prepared) if recipe.task and prepared else None
    heads: dict[str, HeadSpec] = {}
    streams = []
    for position, (objective, node) in enumerate(zip(stage.objectives, encodes, strict=True)):
        own = task if objective.needs_task else None
        context = Stream(
            preprocessor, prepared.roles if prepared else _no_roles(), own, prepared.facts if prepared else {}
        )
        asked = objective.head(context)
        if asked is None and (task is None or prepared is None):
            raise AssertionError("the recipe's check lets only objectives of a task go without a head")
        head = MAIN if asked is None else (objective.name or objective.type_name())
        heads[head] = asked or task.head(prepared.facts)  # type: ignore[union-attr]  # checked above
        streams.append(
            LiveStream.open(objective, head, context, load_arrays(inputs[node]), stage.batch_size, position, seed)
        )
    heads = dict(sorted(heads.items(), key=lambda item: item[0] != MAIN))  # the task's head names the folder
    job = Job(
        stage=stage,
        model=recipe.model,
        start=inputs[before] / "model" if before else source,
        preprocessor=preprocessor,
        streams=streams,
        heads=heads,
        seed=seed,
        precision=precision,
        validation=_validation(recipe, task, prepared, metrics) if stage.stage == "finetune" else None,
        work=process.work,
        stop=process.stop,
        say=process.say,
        advance=process.advance,
        metrics=metrics,
    )
    result = train(job)
    (out / "model").mkdir()
    result.net.save(out / "model")
    preprocessor.save(out / "model")
    write_json(
        out / "stage.json",
        {
            "steps": result.steps,
            "seconds": round(result.seconds, 2),
            "cpu_seconds": {name: round(value, 2) for name, value in result.cpu_seconds.items()},
            "best_step": result.best_step,
            "history": result.history,
            "notes": result.notes,
            "seed": seed,
        },
    )


def _no_roles() -> Any:
    from hft_core.components import Roles

    return Roles(text=("text",))


def _validation(recipe: Recipe, task: Task | None, prepared: Prepared | None, metrics: Sequence[Metric]) -> Any:
    from hft_core.pipeline.plan import best_metric
    from hft_core.training.loop import Validation

    best = best_metric(recipe, metrics)
    if task is None or prepared is None or best is None:
        return None
    own = [metric for metric in metrics if metric.needs <= task.gives]
    return Validation(MAIN, task, prepared.facts, read_all(prepared.file("validation")), own, best)


# ---- evidence ----


def _net(
    recipe: Recipe, folder: Path | None, preprocessor: Preprocessor, heads: Mapping[str, HeadSpec], seed: int = 0
) -> Any:
    import torch

    torch.manual_seed(seed)
    net = recipe.model.build(folder, preprocessor, heads).eval()
    return net.to("cuda") if torch.cuda.is_available() else net


def evaluate_step(
    recipe: Recipe, metrics: Sequence[Metric], stage: str, out: Path, inputs: Folders, process: Process
) -> None:
    """Predict validation and test, tune the task's facts on validation, measure."""
    from hft_core.training.inference import predictions

    prepared = Prepared.load(inputs["prepare"])
    assert recipe.task is not None
    task = bound_task(recipe.task, prepared)
    preprocessor = load_preprocessor(inputs["preprocessor"])
    net = _net(recipe, inputs[stage] / "model", preprocessor, {MAIN: task.head(prepared.facts)})
    facts: Facts = prepared.facts
    for split in ("validation", "test"):
        columns = read_all(prepared.file(split))
        if not columns:
            continue
        found = predictions(net, MAIN, task, columns, preprocessor, facts)
        if split == "validation":
            facts = task.tune(columns, found, facts)
            if facts != prepared.facts:
                found = predictions(net, MAIN, task, columns, preprocessor, facts)
        truths = task.truths(columns, facts)
        texts = [
            " | ".join(map(str, parts)) for parts in zip(*(columns[name] for name in prepared.roles.text), strict=True)
        ]
        evaluation.save(out, split, metrics, found, truths, texts, facts)
        shown = ", ".join(
            f"{m.type_name()} {next(iter(m.measure(found, truths, facts).values())):.4f}" for m in metrics
        )
        process.say(f"{split}: {shown}")
    write_json(out / "facts.json", facts)


def baselines_step(
    recipe: Recipe, metrics: Sequence[Metric], source: Path | None, out: Path, inputs: Folders, process: Process
) -> None:
    """Measure what a model has to beat: majority, TF-IDF + logistic regression, frozen backbone + linear probe."""
    from hft_core.evidence import baselines
    from hft_core.training.inference import vectors

    prepared = Prepared.load(inputs["prepare"])
    assert recipe.task is not None
    task = bound_task(recipe.task, prepared)
    train = read_all(prepared.file("train"))
    originals = [index for index, variant in enumerate(train["_variant"]) if variant == 0]
    train = {name: [values[index] for index in originals] for name, values in train.items()}
    facts = prepared.facts
    labels = [str(truth["label"]) for truth in task.truths(train, facts)]
    texts = _joined(train, prepared)
    preprocessor = load_preprocessor(inputs["preprocessor"])
    net = _net(recipe, source, preprocessor, {MAIN: task.head(facts)}, recipe.seed)
    chosen = baselines.training_rows(len(labels))
    sample = {name: [values[index] for index in chosen] for name, values in train.items()}
    train_vectors = vectors(net, task.encode(sample, preprocessor, facts), preprocessor)
    for split in ("validation", "test"):
        columns = read_all(prepared.file(split))
        if not columns:
            continue
        truths = task.truths(columns, facts)
        found = {
            "majority": baselines.majority(labels, len(truths)),
            "tfidf": baselines.tfidf(texts, labels, _joined(columns, prepared)),
        }
        if train_vectors is not None:
            own = vectors(net, task.encode(columns, preprocessor, facts), preprocessor)
            assert own is not None
            found["probe"] = baselines.linear_probe(train_vectors, [labels[index] for index in chosen], own)
        for name, predicted in found.items():
            evaluation.save(out / name, split, metrics, predicted, truths, None, facts)
        headline = metrics[0]
        shown = ", ".join(
            f"{name} {next(iter(headline.measure(predicted, truths, facts).values())):.4f}"
            for name, predicted in found.items()
        )
        process.say(f"{split}, {headline.type_name()}: {shown}")


def _joined(columns: Mapping[str, list[Any]], prepared: Prepared) -> list[str]:
    return ["\n".join(map(str, parts)) for parts in zip(*(columns[name] for name in prepared.roles.text), strict=True)]


# ---- export ----


def export_step(
    recipe: Recipe, exporter: Exporter, metrics: Sequence[Metric], evaluations: Sequence[str], finals: Sequence[str],
    out: Path, inputs: Folders, process: Process,
) -> None:  # fmt: skip
    """Export the seed that is best on validation; section.json is what the report shows."""
    from hft_core.pipeline.plan import best_metric

    prepared = Prepared.load(inputs["prepare"])
    assert recipe.task is not None
    shipped = evaluation.best_of([inputs[name] for name in evaluations], best_metric(recipe, metrics))
    facts = read_json(inputs[evaluations[shipped]] / "facts.json")
    task = bound_task(recipe.task, prepared)
    preprocessor = load_preprocessor(inputs["preprocessor"])
    model_folder = inputs[finals[shipped]] / "model"
    finished = Finished(
        name=recipe.name,
        head=MAIN,
        task=task,
        facts=facts,
        model=recipe.model,
        preprocessor=preprocessor,
        cleaners=[cleaner for cleaner in recipe.prepare.clean if isinstance(cleaner, TextCleaner)],
        validation={name: values for name, values in prepared.raw("validation").items() if not name.startswith("_")},
        metrics=metrics,
        folder=model_folder,
        card={"seed": recipe.seed + shipped, **_test_figures(inputs[evaluations[shipped]])},
    )
    net = _net(recipe, model_folder, preprocessor, {MAIN: task.head(prepared.facts)})
    (out / "files").mkdir()
    section = exporter.export(net, finished, out / "files", process.say)
    content = None
    if section is not None:
        content = {
            "title": section.title,
            "text": section.text,
            "table": list(section.table),
            "svg": section.svg,
            "data": section.data,
        }
    write_json(out / "section.json", content)


def _test_figures(folder: Path) -> dict[str, Any]:
    for split in ("test", "validation"):
        if (folder / f"{split}.json").is_file():
            return {"split": split, "figures": read_json(folder / f"{split}.json")["figures"]}
    return {}
