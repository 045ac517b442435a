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
from itertools import islice
from os import PathLike
from pathlib import Path
from types import ModuleType
from typing import Any

from hft_core.errors import DamagedError, DataError, PluginError, RecipeError
from hft_core.runtime import ERROR, agreement, manifest
from hft_core.runtime import description as described
from hft_core.runtime.batching import TOKENS
from hft_core.runtime.cleaning import Step, clean_columns, restored
from hft_core.runtime.description import DESCRIPTION, GOLDEN
from hft_core.runtime.driver import RuntimeTask, blocks, predict
from hft_core.runtime.heads import Head, predict_all
from hft_core.runtime.session import OnnxCall
from hft_core.runtime.trust import check_installed, differing, modules_of, trusted_module

TOLERANCE = {"fp32": 1e-3, "fp16": 2e-2}
"""How far a golden vector's numbers may be off on another machine (see `agreement.drift`); others than these: 0.1.

Kernels differ between processors: an fp32 sum by its order, an 8-bit one by how products are accumulated. A processor
computes an fp16 graph in fp32, an accelerator in fp16.
"""


class Bundle:
    """An opened bundle; see `hft_core.runtime.load` for arguments and errors."""

    def __init__(
        self,
        path: str | PathLike[str],
        precision: str | None = None,
        threads: int | None = None,
        providers: str | Sequence[str] | None = None,
    ):
        self.folder = described.find(path)
        self._sums = manifest.read(self.folder)
        graph_files = [name for name in self._sums if name.startswith("onnx/")]
        manifest.check(self.folder, self._sums, [name for name in self._sums if name not in graph_files])
        self.description = described.read(self.folder)
        described.check_sizes(self.folder, graph_files, self.description["bytes"])

        self.precision = precision or self.precisions[0]
        if self.precision not in self.precisions:
            raise RecipeError(f"{self.folder} has no precision {precision!r}; it has {', '.join(self.precisions)}")
        self.text: list[str] = self.description["text"]
        """The columns with the text that the model reads."""
        self.inputs: list[str] = self.description.get("inputs", [])
        """Further columns that it reads, such as images; no cleaner touches them."""
        self.optional: list[str] = self.description.get("optional", [])
        """Columns with text that it does without; its prediction says more of a row that has them all."""
        check_installed(self.description["requires"], self.folder)
        self._heads = self._opened_tasks()
        preprocessor = self.description["preprocessor"]
        for name in modules_of(preprocessor["settings"]):
            self._module(name)  # before anything in the bundle can have them imported
        self._cleaners: list[Step] = [
            (self._module(cleaner["module"]), cleaner["settings"]) for cleaner in self.description["cleaners"]
        ]
        self._preprocessor = self._module(preprocessor["module"]).load(self.folder, preprocessor["settings"])
        self._call = OnnxCall(self._graph_files(), threads, providers)
        self._check_graphs()
        others = differing(self.description["requires"])
        if others or self.provider != described.proven_under(self.folder, self._sums):
            self._check_here(others)

    @property
    def name(self) -> str:
        """The recipe's name."""
        return str(self.description["name"])

    @property
    def precisions(self) -> list[str]:
        """The precisions that were exported; the first is the default."""
        return list(self.description["precisions"])

    @property
    def tasks(self) -> list[str]:
        """The names of the tasks, where it answers several: a prediction then has an object for each. Else empty."""
        return [name for name in self._heads if name]

    @property
    def labels(self) -> list[str]:
        """The labels in the order of the model's outputs; empty for a task without labels, and for several tasks."""
        return list(self._heads[""].facts.get("labels", [])) if "" in self._heads else []

    @property
    def provider(self) -> str:
        """onnxruntime's name of the execution provider in use, such as `CPUExecutionProvider`."""
        return self._call.provider

    def predict(self, rows: Iterable[str | Mapping[str, Any]], keep_going: bool = False) -> list[dict[str, Any]]:
        """Give one prediction per row.

        A row is a text or, always possible, a mapping with the columns in `text` and `inputs`. Its other columns
        are carried through; one that has the name of a prediction's own key, or `error`, comes back as `input_<name>`.

        Args:
            rows: texts or mappings.
            keep_going: give ``{"error": reason}`` in place of the prediction for a row that cannot be answered.

        Raises:
            DataError: unless `keep_going`, for the first row that `refusal` names.
            TypeError: for a single string.
        """
        return list(self.stream(rows, keep_going))

    def stream(
        self, rows: Iterable[str | Mapping[str, Any]], keep_going: bool = False, block: int = 1024
    ) -> Iterator[dict[str, Any]]:
        """Give predictions as `predict` does, holding no more than `block` rows in memory."""
        if isinstance(rows, str):
            raise TypeError("predict() takes a list of texts; for one text write predict([text])")
        remaining = iter(rows)
        place = 0
        while taken := [self._as_text(row) for row in islice(remaining, block)]:
            reasons = [self.refusal(row) for row in taken]
            for reason in reasons:
                place += 1
                if reason and not keep_going:
                    raise DataError(f"row {place}: {reason}")
            predictions = iter(self._answered([row for row, reason in zip(taken, reasons, strict=True) if not reason]))
            for row, reason in zip(taken, reasons, strict=True):
                if reason:
                    yield {ERROR: reason}
                else:
                    prediction = next(predictions)
                    yield prediction if isinstance(row, str) else _carried(row, prediction, self._used(row))

    def predict_columns(self, columns: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
        """Give one prediction per row of a table, as `predict` does."""
        names = list(columns)
        return self.predict(dict(zip(names, values, strict=True)) for values in zip(*columns.values(), strict=True))

    def refusal(self, row: Any) -> str | None:
        """Say why a row cannot be answered; None where it can.

        A task whose values can be broken (an image) says so itself: ``refusal(settings, row)`` in its runtime module.
        """
        read = self._read
        if isinstance(row, str):
            if len(read) == 1:
                return None
            return f"a single text is not enough, this model reads the columns {', '.join(map(repr, read))}"
        if not isinstance(row, Mapping):
            return f"a {type(row).__name__} is neither a text nor a mapping with the columns {read}"
        for name in read:
            if name not in row:
                return f"it has no column {name!r}; it has {', '.join(map(repr, row)) or 'none'}"
            if row[name] is None and name not in self.text:
                return f"the column {name!r} is null"
        for name in (*self.text, *self.optional):
            if not isinstance(row.get(name), str) and not (name in self.optional and row.get(name) is None):
                found = "null" if row[name] is None else f"a {type(row[name]).__name__}"
                return f"the column {name!r} is {found}, not a text"
        return self._own_refusal(row)

    def _as_text(self, row: Any) -> Any:
        """Lists in columns of text as JSON, where a task reads such (``JSON_TEXT = True`` in its runtime module)."""
        modules = [getattr(head.task, "module", None) for head in self._heads.values()]
        if not isinstance(row, Mapping) or not any(getattr(module, "JSON_TEXT", False) for module in modules):
            return row
        lists = {name: row[name] for name in self.text if isinstance(row.get(name), list)}
        return {**row, **{name: json.dumps(value, ensure_ascii=False) for name, value in lists.items()}}

    def _own_refusal(self, row: Mapping[str, Any]) -> str | None:
        """What a task says of values that only it knows."""
        for head in self._heads.values():
            assert isinstance(head.task, RuntimeTask)
            if own := getattr(head.task.module, "refusal", None):
                reason: str | None = own(head.task.settings, _renamed(row, self._read, head))
                if reason:
                    return reason
        return None

    def verify(self) -> dict[str, Any]:
        """Check every file's checksum, and the golden rows' predictions at the opened precision.

        Returns:
            `files` checked, golden `rows` answered, `drift`, the largest difference of a number (see
            `agreement.drift`), and the execution `provider`.

        Raises:
            DamagedError: a checksum differs, or a prediction does. One that is a tie may be decided the other way, with
                other numbers then.
        """
        manifest.check(self.folder, self._sums, self._sums)
        return {"files": len(self._sums)} | self.check_golden()

    def _check_here(self, others: Sequence[str]) -> None:
        """Answer the golden rows where something is not as it was when the bundle was proven.

        Raises PluginError for packages of other versions, DamagedError for anything else.
        """
        try:
            self.check_golden()
        except DamagedError as error:
            if not others:
                raise
            wanted = " ".join(f"{name}=={version}" for name, version in self.description["requires"].items())
            raise PluginError(
                f"{self.folder} was exported with other versions: here is {', '.join(others)}, which predicts otherwise "
                f"({error}); run: pip install {wanted}"
            ) from error

    def check_golden(self) -> dict[str, Any]:
        """The second half of `verify`: answer the golden rows; gives `rows`, `drift` and `provider`. Raises DamagedError."""
        golden = self.golden()
        largest = 0.0
        predictions = self.predict(row for row, _ in golden)
        for place, ((_, expected), found) in enumerate(zip(golden, predictions, strict=True), 1):
            for name in self._heads:
                one, two = (expected[name], found[name]) if name else (expected, found)
                largest = max(largest, self._compared(one, two, place))
        return {"rows": len(golden), "drift": largest, "provider": self.provider}

    def _compared(self, expected: dict[str, Any], found: dict[str, Any], place: int) -> float:
        """The drift of a golden row's prediction. Raises DamagedError where it is too far, or decides otherwise."""
        tolerance = TOLERANCE.get(self.precision, 0.1)
        same = agreement.decision(expected) == agreement.decision(found)
        difference = agreement.drift(expected, found) if same else 0.0
        if not agreement.same_decision(expected, found, tie=tolerance) or difference > tolerance:
            raise DamagedError(
                f"{self.folder / GOLDEN}, line {place}: at {self.precision} with {self.provider} this machine predicts "
                f"{_short(found)}, the bundle was exported with {_short(expected)} (largest difference {difference:.1e}); "
                "onnxruntime, tokenizers or the files differ"
            )
        return difference

    def golden(self) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """Give the golden rows, each with its prediction at the opened precision."""
        return list(described.golden(self.folder, self.precision))

    @property
    def _read(self) -> list[str]:
        """The columns that a row has to have."""
        return [*self.text, *self.inputs]

    def _answered(self, rows: Sequence[str | Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Answer rows that `refusal` lets pass, which may be none; those with optional columns apart from the others."""
        used = [self._used(row) for row in rows]
        found: list[dict[str, Any]] = [{}] * len(rows)
        for names in (self._read, [*self._read, *self.optional]) if self.optional else (self._read,):
            places = [place for place, own in enumerate(used) if own == names]
            columns = {name: [_value(rows[place], name) for place in places] for name in names}
            for place, prediction in zip(places, self._predict_block(columns), strict=True):
                found[place] = prediction
        return found

    def _used(self, row: str | Mapping[str, Any]) -> list[str]:
        """The columns of a row that its prediction is made of."""
        has_all = not isinstance(row, str) and all(row.get(name) is not None for name in self.optional)
        return [*self._read, *self.optional] if has_all else self._read

    def _predict_block(self, columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
        """Answer rows that all have the same columns."""
        texts = [name for name in (*self.text, *self.optional) if name in columns]
        cleaned, trails = clean_columns(columns, texts, self._cleaners)
        made: list[dict[str, Any]] = []
        tokens = TOKENS if self._call.provider.startswith("CPU") else None
        for block in blocks(cleaned):
            if "" in self._heads:
                head = self._heads[""]
                made += predict(head.task, block, self._preprocessor, head.facts, self._call, tokens=tokens).predictions
            else:
                made += predict_all(self._heads, block, self._read, self._preprocessor, self._call, tokens)
        return [restored(prediction, trail) for prediction, trail in zip(made, trails, strict=True)]

    def named(self, columns: Mapping[str, list[Any]], task: str = "") -> dict[str, list[Any]]:
        """Give columns that a task calls by names of its own the names by which the bundle reads them."""
        names = dict(zip(self._heads[task].reads, self._read, strict=True))
        return {names.get(name, name): values for name, values in columns.items()}

    def unknown_rate(self, columns: Mapping[str, list[Any]], task: str = "") -> float | None:
        """The share of the tokens of some rows that the vocabulary lacks; None where the model reads no tokens.

        Args:
            columns: all that the model reads, and perhaps more; as they are before cleaning.
            task: the name of the task, where there are several.
        """
        head = self._heads[task]
        own = {name: list(values) for name, values in columns.items() if name in (*self._read, *self.optional)}
        cleaned, _ = clean_columns(own, [name for name in self.text if name in own], self._cleaners)
        arrays = head.task.encode(dict(_renamed(cleaned, self._read, head)), self._preprocessor, head.facts)
        if "input_ids" not in arrays or not hasattr(self._preprocessor, "unknown_rate"):
            return None
        return float(self._preprocessor.unknown_rate(arrays))

    def _opened_tasks(self) -> dict[str, Head]:
        """The bundle's tasks by their names; where there is only one, its name is empty."""
        tasks = self.description.get("tasks") or {"": self.description["task"]}
        return {
            name: Head(RuntimeTask(self._module(task["module"]), task["settings"]), task["facts"], task.get("reads", self._read))
            for name, task in tasks.items()
        }  # fmt: skip

    def _graph_files(self) -> dict[str, Path]:
        files = {name: graph["files"][self.precision] for name, graph in self.description["graphs"].items()}
        for name in files.values():
            if name not in self._sums:
                raise DamagedError(f"{self.folder / DESCRIPTION} names {name}, which {manifest.NAME} does not list")
        return {graph: self.folder / name for graph, name in files.items()}

    def _check_graphs(self) -> None:
        """Graphs and labels must be those that the description tells of."""
        graphs = self.description["graphs"]
        described.check_signatures(self.folder, graphs, self._call)
        for name, head in self._heads.items():
            if isinstance(head.task, RuntimeTask) and hasattr(head.task.module, "predict"):
                continue  # it makes the labels' numbers of the graph's itself, such as of those over a vocabulary
            output = f"{name}.logits" if name else "logits"
            described.check_labels(self.folder, graphs, head.facts.get("labels", []), output)

    def _module(self, name: str) -> ModuleType:
        return trusted_module(name, self.description["requires"], self.folder)


def _short(prediction: Any) -> Any:
    """A prediction without most of the numbers of its vectors."""
    if isinstance(prediction, dict):
        return {key: _short(value) for key, value in prediction.items()}
    if isinstance(prediction, list) and len(prediction) > 4 and all(isinstance(part, float) for part in prediction):
        return [*prediction[:3], f"… {len(prediction)} numbers"]
    return prediction


def _value(row: str | Mapping[str, Any], name: str) -> Any:
    return row if isinstance(row, str) else row[name]


def _renamed(row: Mapping[str, Any], read: Sequence[str], head: Head) -> Mapping[str, Any]:
    """The row, or table, with the columns that are read under the names that a task has for them."""
    return {**row, **{own: row[name] for own, name in zip(head.reads, read, strict=True)}}


def _carried(row: Mapping[str, Any], prediction: dict[str, Any], read: Sequence[str]) -> dict[str, Any]:
    """Put the columns that the model does not read before the prediction, which keeps its own keys."""
    carried = {
        (f"input_{name}" if name in prediction or name == ERROR else name): row[name]
        for name in row
        if name not in read
    }
    return carried | prediction
