"""An exported bundle: a folder from which text becomes predictions with onnxruntime, tokenizers and numpy.

::

    bundle.json        what the folder holds and how a text becomes a prediction (see DESCRIPTION)
    tokenizer.json     … and the preprocessor's other files
    onnx/model.onnx    the graph; its weights in model.onnx_data; other precisions beside it
    golden.jsonl       rows with the predictions that every machine must reproduce
    parity.json        how the export compared with the trained model
    MANIFEST.sha256    checksums of all of them
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from itertools import islice
from os import PathLike
from pathlib import Path
from types import ModuleType
from typing import Any

from hft_core.errors import DamagedError, DataError, PluginError, RecipeError
from hft_core.runtime import agreement, manifest
from hft_core.runtime.cleaning import Step, clean_columns, restored
from hft_core.runtime.driver import RuntimeTask, blocks, predict
from hft_core.runtime.session import OnnxCall

FORMAT = 1
DESCRIPTION = "bundle.json"
GOLDEN = "golden.jsonl"
OWN_PACKAGES = frozenset({"hft_core", "hft_plugins"})
TOLERANCE = {"fp32": 1e-3}
"""How far a golden vector's numbers may be off on another machine (see `agreement.drift`); others than these: 0.1.

Kernels differ between processors: an fp32 sum by its order, an 8-bit one by how products are accumulated.
"""


class Bundle:
    """An opened bundle; see `hft_core.runtime.load` for arguments and errors."""

    def __init__(
        self,
        path: str | PathLike[str],
        precision: str | None = None,
        threads: int | None = None,
        provider: str | None = None,
    ):
        self.folder = find(path)
        self._sums = manifest.read(self.folder)
        graph_files = [name for name in self._sums if name.startswith("onnx/")]
        manifest.check(self.folder, self._sums, [name for name in self._sums if name not in graph_files])
        self.description = _described(self.folder)
        self._check_sizes(graph_files)

        self.precision = precision or self.precisions[0]
        if self.precision not in self.precisions:
            raise RecipeError(f"{self.folder} has no precision {precision!r}; it has {', '.join(self.precisions)}")
        self._facts: dict[str, Any] = self.description["task"]["facts"]
        self.text: list[str] = self.description["text"]
        """The columns with the text that the model reads."""
        self.inputs: list[str] = self.description.get("inputs", [])
        """Further columns that it reads, such as images; no cleaner touches them."""
        _check_installed(self.description["requires"], self.folder)
        task, preprocessor = self.description["task"], self.description["preprocessor"]
        for name in modules_of(preprocessor["settings"]):
            self._module(name)  # before anything in the bundle can have them imported
        self._task = RuntimeTask(self._module(task["module"]), task["settings"])
        self._cleaners: list[Step] = [
            (self._module(cleaner["module"]), cleaner["settings"]) for cleaner in self.description["cleaners"]
        ]
        self._preprocessor = self._module(preprocessor["module"]).load(self.folder, preprocessor["settings"])
        self._call = OnnxCall(self._graph_files(), threads, provider)

    @property
    def name(self) -> str:
        """The recipe's name."""
        return str(self.description["name"])

    @property
    def precisions(self) -> list[str]:
        """The precisions that were exported; the first is the default."""
        return list(self.description["precisions"])

    @property
    def labels(self) -> list[str]:
        """The labels in the order of the model's outputs; empty for a task without labels."""
        return list(self._facts.get("labels", []))

    def predict(self, rows: Iterable[str | Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Give one prediction per row.

        A row is a text or, always possible, a mapping with the columns in `text` and `inputs`. Its other columns
        are carried through; one that has the name of a prediction's own key comes back as `input_<name>`.
        Raises DataError for a row that `refusal` names, TypeError for a single string.
        """
        return list(self.stream(rows))

    def stream(self, rows: Iterable[str | Mapping[str, Any]], block: int = 1024) -> Iterator[dict[str, Any]]:
        """Give predictions as `predict` does, holding no more than `block` rows in memory."""
        if isinstance(rows, str):
            raise TypeError("predict() takes a list of texts; for one text write predict([text])")
        remaining = iter(rows)
        place = 0
        while taken := list(islice(remaining, block)):
            for row in taken:
                place += 1
                if reason := self.refusal(row):
                    raise DataError(f"row {place}: {reason}")
            read = [*self.text, *self.inputs]
            columns = {name: [row if isinstance(row, str) else row[name] for row in taken] for name in read}
            for row, prediction in zip(taken, self._predict_block(columns), strict=True):
                yield prediction if isinstance(row, str) else _carried(row, prediction, read)

    def predict_columns(self, columns: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
        """Give one prediction per row of a table, as `predict` does."""
        names = list(columns)
        return self.predict(dict(zip(names, values, strict=True)) for values in zip(*columns.values(), strict=True))

    def refusal(self, row: Any) -> str | None:
        """Say why a row cannot be answered; None where it can.

        A task whose values can be broken (an image) says so itself: ``refusal(settings, row)`` in its runtime module.
        """
        read = [*self.text, *self.inputs]
        if isinstance(row, str):
            if len(read) == 1:
                return None
            return f"a single text is not enough, this model reads the columns {', '.join(map(repr, read))}"
        if not isinstance(row, Mapping):
            return f"a {type(row).__name__} is neither a text nor a mapping with the columns {read}"
        for name in read:
            if name not in row:
                return f"it has no column {name!r}; it has {', '.join(map(repr, row)) or 'none'}"
            if name in self.text and not isinstance(row[name], str):
                found = "null" if row[name] is None else f"a {type(row[name]).__name__}"
                return f"the column {name!r} is {found}, not a text"
            if row[name] is None:
                return f"the column {name!r} is null"
        own = getattr(self._task.module, "refusal", None)
        reason: str | None = own(self._task.settings, row) if own else None
        return reason

    def verify(self) -> dict[str, Any]:
        """Check every file's checksum, and the golden rows' predictions at the opened precision.

        Returns:
            `files` checked, golden `rows` answered, and `drift`, the largest difference of a number (see
            `agreement.drift`).

        Raises:
            DamagedError: a checksum differs, or a prediction does. One that is a tie may be decided the other way, with
                other numbers then.
        """
        manifest.check(self.folder, self._sums, self._sums)
        golden = self.golden()
        tolerance = TOLERANCE.get(self.precision, 0.1)
        largest = 0.0
        predictions = self.predict(row for row, _ in golden)
        for place, ((_, expected), found) in enumerate(zip(golden, predictions, strict=True), 1):
            same = agreement.decision(expected) == agreement.decision(found)
            difference = agreement.drift(expected, found) if same else 0.0
            if not agreement.same_decision(expected, found, tie=tolerance) or difference > tolerance:
                raise DamagedError(
                    f"{self.folder / GOLDEN}, line {place}: at {self.precision} this machine predicts {found}, the "
                    f"bundle was exported with {expected}; onnxruntime, tokenizers or the files differ"
                )
            largest = max(largest, difference)
        return {"files": len(self._sums), "rows": len(golden), "drift": largest}

    def golden(self) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """Give the golden rows, each with its prediction at the opened precision."""
        lines = (self.folder / GOLDEN).read_text(encoding="utf-8").split("\n")
        records = [json.loads(line) for line in lines if line]
        return [(record["row"], record["predictions"][self.precision]) for record in records]

    def _predict_block(self, columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
        cleaned, trails = clean_columns(columns, self.text, self._cleaners)
        made: list[dict[str, Any]] = []
        for block in blocks(cleaned):
            made += predict(self._task, block, self._preprocessor, self._facts, self._call).predictions
        return [restored(prediction, trail) for prediction, trail in zip(made, trails, strict=True)]

    def _check_sizes(self, names: Sequence[str]) -> None:
        """A cut-off graph must not reach onnxruntime, which maps it; its checksum is left to `verify`."""
        sizes: dict[str, int] = self.description["bytes"]
        for name in {*names, *sizes}:
            file = self.folder / name
            found = file.stat().st_size if file.is_file() else None
            if found is None or found != sizes.get(name):
                state = "is missing" if found is None else f"has {found} bytes instead of {sizes.get(name)}"
                raise DamagedError(f"{file} {state}; copy or export the bundle again")

    def _graph_files(self) -> dict[str, Path]:
        files = {name: graph["files"][self.precision] for name, graph in self.description["graphs"].items()}
        for name in files.values():
            if name not in self._sums:
                raise DamagedError(f"{self.folder / DESCRIPTION} names {name}, which {manifest.NAME} does not list")
        return {graph: self.folder / name for graph, name in files.items()}

    def _module(self, name: str) -> ModuleType:
        return trusted_module(name, self.description["requires"], self.folder)


def find(path: str | PathLike[str]) -> Path:
    """Give the bundle's folder for it or for a run's folder. Raises RecipeError where there is none, or a choice."""
    folder = Path(path)
    for candidate in (folder, folder / "bundle"):
        if (candidate / DESCRIPTION).is_file():
            return candidate
    if found := sorted(file.parent.name for file in folder.glob(f"*/{DESCRIPTION}")):
        raise RecipeError(
            f"{folder} is no bundle, but has bundles in it: {', '.join(found)}; name one, such as {folder / found[0]}"
        )
    raise RecipeError(f"{folder} is no bundle, and no run with one: {DESCRIPTION} is neither in it nor in its bundle/")


def modules_of(settings: Any) -> Iterator[str]:
    """Give the modules that a preprocessor's settings name: those of its parts, each ``{"module": …, "settings": …}``."""
    if isinstance(settings, Mapping):
        if isinstance(settings.get("module"), str):
            yield settings["module"]
        settings = list(settings.values())
    if isinstance(settings, list):
        for value in settings:
            yield from modules_of(value)


def trusted_module(name: str, requires: Mapping[str, str], folder: Path) -> ModuleType:
    """Import a module that a bundle names: one of hft's, or of an installed hft plugin that the bundle requires.

    A bundle is data from anywhere; it must not be able to import whatever lies on the path.
    """
    package = name.partition(".")[0]
    if package not in OWN_PACKAGES:
        _check_plugin(package, name, requires, folder)
    try:
        return import_module(name)
    except ImportError as error:
        raise PluginError(
            f"{folder} needs the module {name}, which cannot be imported ({error}); install "
            f"{_listed(requires) or 'the hft-core version of the bundle'}"
        ) from error


def _check_plugin(package: str, name: str, requires: Mapping[str, str], folder: Path) -> None:
    """Raise PluginError unless `package` is offered, through an entry point, by a distribution in `requires`."""
    from importlib.metadata import entry_points  # slow, and only foreign modules need it

    wanted = {_normalised(distribution) for distribution in requires}
    for entry in entry_points(group="hft"):
        if entry.module.partition(".")[0] == package and entry.dist and _normalised(entry.dist.name) in wanted:
            return
    raise PluginError(
        f"{folder} names the module {name}, which belongs to no installed hft plugin that the bundle requires "
        f"({_listed(requires) or 'it requires none'}); install it, if you trust where the bundle comes from"
    )


def _check_installed(requires: Mapping[str, str], folder: Path) -> None:
    """Raise PluginError for a distribution that the bundle needs and that is not installed."""
    if not requires:
        return
    from importlib.metadata import PackageNotFoundError, version

    for name, wanted in requires.items():
        try:
            version(name)
        except PackageNotFoundError:
            raise PluginError(f"{folder} needs {name}, which is missing; run: pip install {name}=={wanted}") from None


def _normalised(distribution: str) -> str:
    return distribution.lower().replace("_", "-").replace(".", "-")


def _listed(requires: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in requires.items())


def _described(folder: Path) -> dict[str, Any]:
    file = folder / DESCRIPTION
    try:
        description: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        version = description["format"]
    except (ValueError, TypeError, KeyError) as error:
        raise DamagedError(f"{file} is not a bundle's description: {error}") from None
    if version != FORMAT:
        raise PluginError(f"{file} has format {version}, this hft-core reads {FORMAT}; install the bundle's version")
    return description


def _carried(row: Mapping[str, Any], prediction: dict[str, Any], read: Sequence[str]) -> dict[str, Any]:
    """Put the columns that the model does not read before the prediction, which keeps its own keys."""
    carried = {(f"input_{name}" if name in prediction else name): row[name] for name in row if name not in read}
    return carried | prediction
