"""`hft new`: begin a recipe, or a plugin of your own."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from hft_core.components import Task
    from hft_core.registry import Registry

_KINDS = (
    "reader", "cleaner", "augmenter", "task", "model", "objective", "optimizer", "schedule", "technique", "metric",
    "exporter",
)  # fmt: skip
"""As `hft_core.components.KINDS` has them, which is too much to import for `--help`."""
_SIZES = ("tiny", "mini", "small", "base")
"""Sizes of a model from scratch, as it is asked for."""


@click.group("new")
def command() -> None:
    """Begin something: a recipe, or a plugin of your own that works at once."""


@command.command("plugin")
@click.argument("name")
@click.option("--kind", type=click.Choice(_KINDS), required=True, help="The kind of its component.")
@click.option("--out", type=click.Path(path_type=Path), help="The folder to write; default: hft-NAME here.")
def plugin(name: str, kind: str, out: Path | None) -> None:
    """Write a small, complete distribution hft-NAME with one working component of a KIND, its tests, and a recipe.

    \b
    hft new plugin drop-commas --kind augmenter
    pip install -e hft-drop-commas
    hft plugins check drop-commas
    """
    from hft_core import __version__
    from hft_core.cli.scaffold import names_of, write_plugin
    from hft_core.errors import RecipeError
    from hft_core.recipe.words import typed
    from hft_core.registry import load_registry

    names = names_of(name)
    word = names["example-type"]
    registry = load_registry(strict=False)
    if word in registry.classes(kind):
        owner = registry.plugin_of(registry.classes(kind)[word]).title
        raise RecipeError(
            f"there is a {kind} {word!r} already, of {owner}; two of one name are unusable, so choose another"
        )
    if taken := [plugin for plugin in registry.plugins if plugin.name == word]:
        raise RecipeError(f"there is a plugin {taken[0].title} already; choose another name")
    folder = out or Path(names["hft-example"])
    for file in write_plugin(folder, names, kind, __version__):
        click.echo(f"wrote {typed(file)}")
    click.echo(
        f"next: pip install -e {typed(folder)}, then hft plugins check {word}, then hft run {typed(folder)}/recipe.yaml"
    )


@command.command("recipe")
@click.argument("file", type=click.Path(path_type=Path), default="recipe.yaml")
@click.option("--data", type=click.Path(path_type=Path), help="The file to train on.")
@click.option("--task", "task_type", help="The task's type, such as text-classification.")
@click.option(
    "--model", help="A hub name, a folder, package:NAME, or a size to start from scratch: tiny, mini, small, …"
)
def recipe(file: Path, data: Path | None, task_type: str | None, model: str | None) -> None:
    """Write a commented recipe into FILE (default: recipe.yaml), and its schema for editors; asks for what is not given.

    Three questions: which file to train on, what to learn, and which model to start from.
    """
    from hft_core.cli.scaffold import filled, recipe_template
    from hft_core.components import Task
    from hft_core.errors import DiskError, RecipeError
    from hft_core.recipe import load_recipe
    from hft_core.recipe.narrow import narrow
    from hft_core.recipe.words import typed
    from hft_core.registry import load_registry

    if file.exists():
        raise DiskError(f"{file} exists already; give another name: hft new recipe other.yaml")
    registry = load_registry(strict=False)
    tasks: dict[str, Any] = registry.classes(Task.kind)
    data = data or Path(_ask("--data", "Which file do you train on?", default="train.csv"))
    task_type = task_type or _ask(
        "--task",
        "What is to be learned?",
        type=click.Choice(sorted(tasks)),
        default=_first(tasks, "text-classification"),
    )
    if task_type not in tasks:
        raise RecipeError(registry.explain_missing(Task.kind, task_type))
    model = model or _ask(
        "--model",
        f"Which model do you start from (a hub name, a folder, package:NAME, or from scratch: {', '.join(_SIZES)})?",
        default=_SIZES[1],
    )
    kind = _fitting(tasks[task_type], registry)
    text = filled(
        recipe_template(),
        {
            "RECIPE_NAME": _name(file.stem),
            "READER": _reader(data, file, registry),
            "TASK_TYPE": str(task_type),
            "TASK_FIELDS": _fields(tasks[task_type]),
            "MODEL": _model(str(model), kind, tasks[task_type]),
            "PRETRAINING": _pretraining(kind, registry),
            "RATE": "5e-4" if model in _SIZES else "5e-5",  # from scratch there is nothing to keep
        },
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    click.echo(f"wrote {typed(file)}")
    schema = file.parent / "recipe.schema.json"
    if not schema.exists():
        schema.write_text(json.dumps(narrow(registry).model_json_schema(), ensure_ascii=False), encoding="utf-8")
        click.echo(f"wrote {typed(schema)}")
    try:
        load_recipe(file, registry)
    except Exception as error:  # the recipe is there all the same, and `hft check` says it again
        click.echo(f"to do: {error}")
        click.echo(f"next: hft check {typed(file)}")
    else:
        click.echo(f"next: hft plan {typed(file)}, then hft run {typed(file)}")


def _ask(option: str, question: str, **settings: Any) -> str:
    """The answer to a question. Raises RecipeError where nobody can be asked."""
    from hft_core.errors import RecipeError

    try:
        return str(click.prompt(question, **settings))
    except click.Abort as error:
        if error.__context__ is None or not isinstance(error.__context__, EOFError):
            raise
        click.echo()
        raise RecipeError(f"no answer came; nothing was written. Give it as an option: {option}") from error


def _name(stem: str) -> str:
    """A name that a recipe can have, out of a file's."""
    name = re.sub(r"[^\w.-]+", "-", stem).strip("-.")
    return name if re.search(r"[^\W\d_]", name) else f"recipe-{name}".rstrip("-")


def _reader(data: Path, recipe: Path, registry: Registry) -> str:
    """The reader for a file, by its ending: the one that is called so, else the one of CSV. Raises RecipeError for Excel's."""
    import os

    from hft_core.errors import RecipeError

    ending = data.name.removesuffix(".gz").rpartition(".")[2].lower()
    if ending in ("xlsx", "xls"):
        raise RecipeError(f"{data} is an Excel workbook; save its sheet as CSV (UTF-8) and name that file")
    others = {"tsv": "csv", "json": "jsonl", "ndjson": "jsonl", "txt": "text", "pq": "parquet", "bio": "conll"}
    name = ending if ending in registry.classes("reader") else others.get(ending, "csv")
    place = os.path.relpath(data.absolute(), recipe.absolute().parent)
    extra = r', delimiter: "\t"' if ending == "tsv" else ""
    return f"{{type: {name}, path: {json.dumps(place, ensure_ascii=False)}{extra}}}"


def _fitting(task: type[Task], registry: Registry) -> str:
    """The type of a model that can have the task's head."""
    models: dict[str, Any] = registry.classes("model")
    fitting = [name for name, cls in models.items() if cls.heads is None or task.head_type in (None, *cls.heads)]
    return (fitting or sorted(models) or ["bert"])[0]


def _model(answer: str, kind: str, task: type[Task]) -> str:
    """A model of a kind, started from what was answered. Raises RecipeError for a misspelt size."""
    from difflib import get_close_matches

    from hft_core.errors import RecipeError

    if answer not in _SIZES:
        if not Path(answer).exists() and (near := get_close_matches(answer, _SIZES, n=1, cutoff=0.75)):
            raise RecipeError(
                f"--model {answer!r} is no size; did you mean {near[0]!r}? A folder is written ./{answer}"
            )
        return f"{{type: {kind}, source: {json.dumps(answer, ensure_ascii=False)}}}"
    # What a task writes may be any text, and bpe has all of it.
    tokenizer = "bpe" if task.autoregressive else "wordpiece"
    return f"{{type: {kind}, source: {{scratch: {answer}, tokenizer: {{type: {tokenizer}, size: 8000}}}}}}"


def _pretraining(kind: str, registry: Registry) -> str:
    """An objective that such a model can be trained with on text alone."""
    heads = getattr(registry.classes("model").get(kind), "heads", None)
    objectives: dict[str, Any] = registry.classes("objective")
    return next(
        (
            name
            for name, cls in objectives.items()
            if not cls.needs_task and cls.head_type and (heads is None or cls.head_type in heads)
        ),
        "…",
    )


def _fields(task: type[Task]) -> str:
    """The task's own fields, commented out, with what they say of themselves; those that are required as they are."""
    from hft_core.components import Component

    lines = []
    for name, field in task.model_fields.items():
        if name == "type" or name in Component.model_fields:
            continue
        default = None if field.is_required() else field.get_default(call_default_factory=True)
        value = "…" if default is None else json.dumps(default, ensure_ascii=False, default=_plain)
        words = " ".join(task.descriptions().get(name, "").split())
        lines += [f"  # {line}" for line in textwrap.wrap(words, 110)]
        lines.append(f"  {'' if field.is_required() else '# '}{name}: {value}")
    return "".join(f"{line}\n" for line in lines)


def _plain(value: Any) -> Any:
    """A default as a recipe says it: settings as what is set of them."""
    return value.model_dump(mode="json", exclude_defaults=True) if hasattr(value, "model_dump") else str(value)


def _first(names: Iterable[str], part: str) -> str:
    """The first name with this in it, else the first of all."""
    known = sorted(names)
    return next((name for name in known if part in name), known[0])
