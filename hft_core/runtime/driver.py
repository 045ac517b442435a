"""The one path from rows to predictions: evaluation, parity check and runtime all run this code.

They differ only in `call`, which runs a named graph: torch in evaluation, onnxruntime elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hft_core.errors import NonFiniteError, PluginError
from hft_core.runtime.batching import TOKENS, cuts
from hft_core.runtime.ragged import Arrays, Ragged, concatenated, take

Columns = dict[str, list[Any]]
Facts = dict[str, Any]
Call = Callable[..., dict[str, Any]]


class Pads(Protocol):
    """What the driver needs of a preprocessor; `hft_core.Preprocessor` says the rest."""

    def pad(self, arrays: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        """Make one padded batch."""
        ...


class Predicts(Protocol):
    """What the driver needs of a task; the component and `RuntimeTask` both offer it."""

    def encode(self, columns: Columns, preprocessor: Any, facts: Facts) -> Arrays:
        """Turn columns into arrays, one entry per row or window."""
        ...

    def predict(self, call: Call, arrays: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
        """Run the model on one padded batch."""
        ...

    def postprocess(self, arrays: Arrays, outputs: Arrays, preprocessor: Any, facts: Facts) -> Arrays:
        """Turn into words what only the preprocessor can read, such as token ids."""
        ...

    def decode(
        self, columns: Columns, arrays: Arrays, outputs: Mapping[str, Any], facts: Facts
    ) -> list[dict[str, Any]]:
        """Turn outputs into one prediction per row."""
        ...


class RuntimeTask:
    """A task as a bundle knows it: the plain functions of `module` with the task's settings."""

    def __init__(self, module: ModuleType, settings: Mapping[str, Any]):
        self.module = module
        self.settings = dict(settings)

    def encode(self, columns: Columns, preprocessor: Any, facts: Facts) -> Arrays:
        """Turn columns into arrays, one entry per row or window."""
        arrays: Arrays = self.module.encode(self.settings, columns, preprocessor, facts)
        return arrays

    def predict(self, call: Call, arrays: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
        """Run the model on one padded batch: the module's `predict`, or one call of the graph `model`."""
        if not hasattr(self.module, "predict"):
            return call("model", **arrays)
        outputs: dict[str, Any] = self.module.predict(self.settings, call, arrays, facts)
        return outputs

    def postprocess(self, arrays: Arrays, outputs: Arrays, preprocessor: Any, facts: Facts) -> Arrays:
        """Turn into words what only the preprocessor can read: the module's `postprocess`, or nothing."""
        if not hasattr(self.module, "postprocess"):
            return outputs
        written: Arrays = self.module.postprocess(self.settings, arrays, outputs, preprocessor, facts)
        return written

    def decode(
        self, columns: Columns, arrays: Arrays, outputs: Mapping[str, Any], facts: Facts
    ) -> list[dict[str, Any]]:
        """Turn outputs into one prediction per row."""
        predictions: list[dict[str, Any]] = self.module.decode(self.settings, columns, arrays, outputs, facts)
        return predictions


@dataclass(frozen=True)
class Outcome:
    """What came of a set of rows."""

    arrays: Arrays
    """The task's encoding, one entry per row or window."""
    outputs: Arrays
    """The model's outputs, in the order of `arrays`, postprocessed."""
    predictions: list[dict[str, Any]]
    """One per row, in the order of the rows."""


def predict(
    task: Predicts, columns: Columns, preprocessor: Pads, facts: Facts, call: Call, batch_size: int = 32,
    tokens: int | None = TOKENS,
) -> Outcome:  # fmt: skip
    """Encode, run in batches of similar length, postprocess and decode.

    All rows are held in memory; pass `blocks` of a large table one by one.
    An output with one vector per row is an array [batch, …]. An output with one value per token has
    another width in each batch: the task's `predict` gives it as a Ragged (`Ragged.from_padded`).

    Args:
        columns: cleaned texts and the other columns that the task reads; all lists are equally long.
        call: ``call(graph, **arrays) -> named numpy outputs``; ignores arrays that the graph doesn't take.
        batch_size: entries per batch, at most.
        tokens: tokens per batch, padding included, at most; None, as on an accelerator: any number.

    Raises:
        NonFiniteError: an output holds NaN.
        PluginError: the task gave outputs or predictions that do not fit the rows.
    """
    rows = len(next(iter(columns.values()), []))
    if not rows:
        return Outcome({}, {}, [])
    arrays = task.encode(columns, preprocessor, facts)
    lengths = longest(arrays)
    order = np.argsort(lengths, kind="stable")
    parts: list[Arrays] = []
    for cut in cuts(lengths[order], batch_size, tokens):
        batch = preprocessor.pad(take(arrays, order[cut]))
        batch.pop("row", None)  # which row an entry came from is the decoder's business
        parts.append(task.predict(call, batch, facts))
    outputs = task.postprocess(arrays, _in_entry_order(parts, order), preprocessor, facts)
    predictions = task.decode(columns, arrays, outputs, facts)
    if len(predictions) != rows:
        raise PluginError(
            f"the task's decode() gave {len(predictions)} predictions for {rows} rows instead of one each"
        )
    return Outcome(arrays, outputs, predictions)


def blocks(columns: Columns, rows: int = 1024) -> Iterator[Columns]:
    """Cut a table into blocks of at most `rows` rows, so that memory stays bounded."""
    for start in range(0, len(next(iter(columns.values()), [])), rows):
        yield {name: values[start : start + rows] for name, values in columns.items()}


def longest(arrays: Arrays) -> NDArray[np.int64]:
    """The length of each entry's longest array: batches of similar length waste little on padding. 0 where none has one."""
    lengths = [array.lengths for array in arrays.values() if isinstance(array, Ragged)]
    return np.max(lengths, axis=0) if lengths else np.zeros(len(next(iter(arrays.values()))), np.int64)


def _in_entry_order(parts: Sequence[Arrays], order: NDArray[np.int64]) -> Arrays:
    """Join the batches' outputs and undo the ordering by length."""
    for name, first in parts[0].items():
        shapes = {part[name].shape[1:] for part in parts} if not isinstance(first, Ragged) else set()  # type: ignore[union-attr]  # one form per name
        if len(shapes) > 1:
            raise PluginError(
                f"the output {name!r} has rows of shapes {sorted(shapes)}; where the width depends on the batch, the "
                "task's predict() has to give a Ragged (see Ragged.from_padded)"
            )
    outputs = concatenated(parts)
    for name, output in outputs.items():
        values = output.values if isinstance(output, Ragged) else output
        if len(output) != len(order):
            raise PluginError(f"the output {name!r} has {len(output)} entries for {len(order)} entries of input")
        if np.issubdtype(values.dtype, np.floating) and np.isnan(values).any():
            raise NonFiniteError(f"the model's output {name!r} is not a number for some rows; its weights are unusable")
    return take(outputs, np.argsort(order, kind="stable"))
