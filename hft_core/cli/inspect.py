"""`hft inspect`: what is wrong with some data?"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hft_core.cli.options import disabled, load, plugin_options, warn_of_broken
from hft_core.errors import DataError, DiskError, RecipeError

if TYPE_CHECKING:
    from hft_core.components import Reader
    from hft_core.data.inspection import Inspection, Source
    from hft_core.registry import Registry

_MARKS = {"error": "!!", "warning": " !", "info": "  ", "ok": "ok"}
_GUESSES = (
    ("train", r"train|训练|訓練"),
    ("validation", r"(?:^|[^a-z])(?:dev|valid(?:ation)?|val)(?:[^a-z]|$)|验证|驗證|开发集|開發集"),
    ("test", r"test|测试|測試"),
)


@click.command("inspect")
@click.argument("data", nargs=-1, required=True)
@click.option("--text", multiple=True, metavar="COLUMN", help="A column with text; may be repeated. Default: found.")
@click.option("--label", metavar="COLUMN", help="The column with the label. Default: found.")
@click.option(
    "--tokenizer", type=click.Path(path_type=Path, exists=True), help="A tokenizer.json: count what it does not know."
)
@click.option("--doubts", is_flag=True, help="Also judge the labels of the first source by models (takes a while).")
@click.option("--html", type=click.Path(path_type=Path), help="Where the page goes; default: inspect.html here.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object; a page only with --html.")
@plugin_options
def command(
    data: tuple[str, ...],
    text: tuple[str, ...],
    label: str | None,
    tokenizer: Path | None,
    doubts: bool,
    html: Path | None,
    as_json: bool,
    plugins: tuple[Path, ...],
) -> None:
    """Say what is wrong with DATA: leakage between splits, repeats, conflicts, bad offsets, odd rows.

    \b
    DATA is a recipe (its data, as its tasks read them), or any number of
      PATH               form, encoding, header and columns are found;
                         train, dev and test are told by the name
      NAME=PATH          the same under another name
      NAME={type: …}     a source as in a recipe

    Nothing is changed. Rows are compared as they are; a run compares them after cleaning, too.
    """
    from hft_core.data.inspection import inspect
    from hft_core.report.inspection import render_inspection

    with tempfile.TemporaryDirectory(prefix="hft-inspect-") as folder:
        found = inspect(_sources(data, text, label, plugins), Path(folder), tokenizer, doubts)
    if html is not None or not as_json:
        page = html or Path("inspect.html")
        try:
            page.write_text(render_inspection(found), encoding="utf-8")
        except OSError as error:
            raise DiskError(f"{page} cannot be written: {error.strerror}; choose another place with --html") from error
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
    else:
        _tell(found, page)


def _sources(
    data: Sequence[str], text: Sequence[str], label: str | None, plugins: tuple[Path, ...]
) -> dict[str, Source]:
    """Understand what was given on the command line."""
    if len(data) == 1 and data[0].endswith((".yaml", ".yml")):
        return _of_recipe(Path(data[0]), plugins)

    from hft_core.data.inspection import Source
    from hft_core.data.reading import sample_of
    from hft_core.data.sniffing import roles_of
    from hft_core.registry import load_registry

    registry = load_registry(plugins, disabled=disabled())
    warn_of_broken(registry)
    sources: dict[str, Source] = {}
    for entry in data:
        name, settings = entry_of(entry)
        reader = reader_of(entry, settings, registry)
        name = name or _name(str(settings.get("path", settings["type"])), sources)
        if name in sources:
            raise RecipeError(f"two of the sources are called {name!r}; write another NAME= before one of them")
        sources[name] = Source(reader, roles_of(sample_of(reader), text, label))
    return sources


def _of_recipe(file: Path, plugins: tuple[Path, ...]) -> dict[str, Source]:
    """The sources of a recipe: those of its tasks as the tasks read them, and unlabelled text."""
    from hft_core.data.inspection import Source
    from hft_core.data.reading import sample_of
    from hft_core.data.sniffing import roles_of
    from hft_core.recipe.sources import readers_of, text_sources, title_of

    recipe = load(file, (), plugins)[0].recipe
    sources: dict[str, Source] = {}
    for name, task in recipe.all_tasks.items():
        readers = readers_of(recipe, name)
        bound = task.bind(sample_of(readers["train"]))
        for split, reader in readers.items():
            labels = bound.target_form in ("label", "labels")
            source = Source(reader, bound.roles(), bound.refusals, bound.arrange, labels)
            sources[title_of(recipe, name, split)] = source
    for name in text_sources(recipe):
        sources[name] = Source(recipe.data.sources[name], roles_of(sample_of(recipe.data.sources[name])))
    return sources


def entry_of(entry: str) -> tuple[str | None, dict[str, Any]]:
    """Give the name, if there is one, and the settings of the reader of one argument."""
    from hft_core.data.sniffing import settings_of

    match = re.match(r"([\w.-]+)=(.+)", entry, re.DOTALL)
    name, rest = (match[1], match[2]) if match and not Path(entry).exists() else (None, entry)
    if not rest.startswith("{"):
        return name, settings_of(Path(rest))
    from io import StringIO

    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        settings = YAML(typ="safe", pure=True).load(StringIO(rest))
    except YAMLError as error:
        raise RecipeError(f"{entry!r} is no source: {error}") from error
    if not isinstance(settings, dict) or not isinstance(settings.get("type"), str):
        raise RecipeError(f"{entry!r} is no source; write {{type: csv, path: …}}, as in a recipe")
    return name, settings


def reader_of(entry: str, settings: dict[str, Any], registry: Registry) -> Reader:
    """Make the reader of one argument. Raises RecipeError for wrong settings, DataError where there is no file."""
    from pydantic import ValidationError

    from hft_core.components import Reader

    known = registry.classes(Reader.kind).get(settings["type"])
    if known is None:
        raise RecipeError(registry.explain_missing(Reader.kind, settings["type"]))
    try:
        reader = known.model_validate(settings)
    except ValidationError as error:
        said = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise RecipeError(f"{entry}: {said}") from None
    path = getattr(reader, "path", None)
    if isinstance(path, Path) and not path.exists():
        raise DataError(f"there is no file {path}")
    assert isinstance(reader, Reader)
    return reader


def _name(path: str, taken: dict[str, Source]) -> str:
    """Call a file by the split that its name says, else by its name."""
    name = Path(path).name.lower()
    for split, pattern in _GUESSES:
        if re.search(pattern, name) and split not in taken:
            return split
    plain = re.sub(r"[^\w-]", "_", Path(path).name)
    return plain if plain not in taken else re.sub(r"[^\w-]", "_", f"{Path(path).parent.name}_{plain}")


def _tell(found: Inspection, page: Path) -> None:
    """Print sources and findings, and what to type next."""
    for source in found["sources"]:
        bad = sum(source["quarantined"].values())
        unusable = f", {bad} of them unusable" if bad else ""
        columns = f"text: {', '.join(source['text'])}; label: {', '.join(source['target']) or 'none'}"
        told = "; ".join([source["type"], columns, *(f"{name}: {value}" for name, value in source["found"].items())])
        click.echo(f"{source['name']}: {source['read']} rows{unusable} of {source['file']} ({told})")
    click.echo()
    for check in sorted(found["checks"], key=lambda check: list(_MARKS).index(check["severity"])):
        click.echo(f"{_MARKS[check['severity']]} {check['title']}")
    click.echo(f"\npage: {page}")
    click.echo(
        "next: hft check RECIPE, with the cleaners of your choice under prepare.clean (hft new recipe writes one)"
    )
