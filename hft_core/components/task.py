"""Task: what rows mean, what the head looks like, and how outputs become predictions. Imports no torch."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from hft_core.components.base import Component
from hft_core.components.reader import Columns
from hft_core.runtime.ragged import Arrays

if TYPE_CHECKING:
    import torch

    from hft_core.components.model import Preprocessor

Facts = dict[str, Any]
"""What a task learned from the training split: label map, lengths, thresholds. Plain JSON, stored in run and bundle."""

Prediction = dict[str, Any]
"""One prediction as a JSON object, such as ``{"label": …, "score": …, "scores": …}``."""

Call = Callable[..., dict[str, Any]]
"""``call(graph_name, **arrays) -> named numpy outputs``: torch in evaluation, onnxruntime in parity check and runtime.

A graph with inputs ``past_key_values.*`` and outputs ``present.*`` has a cache: the outputs then hold one opaque
``cache``, to be given back as ``cache=…`` (None or left out: nothing is past); it offers ``take(rows)`` only.
"""


@dataclass(frozen=True)
class Roles:
    """Which columns play which part; cleaners, augmenters and LM objectives read this."""

    text: tuple[str, ...]
    """Columns with text, in reading order."""
    inputs: tuple[str, ...] = ()
    """Further columns that the model reads, such as images; no cleaner or augmenter touches them."""
    optional: tuple[str, ...] = ()
    """Those of `text` that a prediction does without; it says more of a row that has them all."""
    target: tuple[str, ...] = ()
    """Columns with what is to be predicted."""
    target_texts: tuple[str, ...] = ()
    """Those of `target` that are texts themselves, as in translation: text cleaners repair them, and a new tokenizer is
    trained on them too."""
    spans: tuple[str, ...] = ()
    """Columns with a list per row of character spans ``{"start": …, "end": …, …}`` (or ``[start, end, …]``) into the
    first text column; they move with its edits."""
    protected: tuple[str, ...] = ()
    """Those of `spans` whose stretches no augmenter may touch."""
    group: tuple[str, ...] = ()
    """Columns that say which rows belong together where some are set aside for another split, such as the text that several
    questions are about; default: those in `text` and `inputs`."""

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that have a part, each once; those of `group` may have none."""
        return tuple(dict.fromkeys((*self.text, *self.inputs, *self.target, *self.spans)))


@dataclass(frozen=True)
class HeadSpec:
    """The head that a task or objective asks for; the model builds it: a stock head by name, or one of `factory`."""

    name: str
    """A stock head's name (`sequence-classification`, `masked-lm`, `causal-lm`, …), or what its factory makes."""
    size: int | None = None
    """Number of outputs; None where the head's own default serves (language models: the vocabulary)."""
    labels: tuple[str, ...] = ()
    """Names of the outputs, written into the model's configuration."""
    settle: float = 0.0
    """If the head is new: the share of the stage's steps (at most 100 steps) in which it is trained alone."""
    factory: Callable[[int], torch.nn.Module] | None = None
    """For a head that is no stock one: ``factory(width)`` gives a module whose ``forward(hidden, mask)`` turns the
    backbone's last states, float [rows, length, width], and the mask, int64 [rows, length], into named outputs. For an
    export its attribute ``outputs`` names them with their axes, such as ``{"embedding": ("batch", 64)}``."""


class Task(Component):
    """Base of tasks.

    What runs at predict time stands in the module `runtime` (numpy, tokenizers and the standard library
    only): ``encode(settings, columns, preprocessor, facts)``, ``decode(settings, columns, arrays, outputs,
    facts)`` and, where one call of one graph is not enough, ``predict(settings, call, arrays, facts)``; where outputs
    are tokens, ``postprocess(settings, arrays, outputs, preprocessor, facts)`` turns them into text. Where a value can be
    broken, such as an image, ``refusal(settings, row) -> str | None`` says in words why a row cannot be answered.
    """

    kind: ClassVar[str] = "task"
    objective: ClassVar[str]
    """The type that ``{type: task}`` stands for."""
    runtime: ClassVar[str]
    """The module with what runs at predict time; named in the bundle."""
    gives: ClassVar[frozenset[str]]
    """Keys of a prediction, such as {"label", "scores"}; a metric says which it needs."""
    head_type: ClassVar[str | None] = None
    """Name of the stock head that it needs, if it is always the same, or `factory` for one that it makes itself: `hft check`
    then refuses a model that does not build it. None: the net tells when it is built."""
    default_metrics: ClassVar[tuple[dict[str, Any], ...]] = ()
    """Metrics of a recipe that names none; the first one chooses the best checkpoint."""
    autoregressive: ClassVar[bool] = False
    """Whether a prediction is written piece by piece, each depending on those before, so that one that tips changes all
    after it. An export in another precision than fp32 is then judged by the metrics, not by equal predictions."""
    target_form: ClassVar[Literal["label", "labels", "number"] | None] = None
    """What is to be predicted of a row: one `label` out of a set, several `labels` (or none), a `number`, or something else
    (None). Truths and predictions have it as `label`, `labels` or `score`; baselines, splits and metrics go by it. With
    `label` and `labels` the facts have `labels`, all of them in the order of the head's outputs."""

    @property
    def classes(self) -> bool:
        """Whether each row has one label out of a set."""
        return self.target_form == "label"

    def bind(self, sample: Columns) -> Self:
        """Give a copy whose columns are settled, from a sample of rows. Raises DataError where one is missing.

        What it settles are plain values, such as the names of columns.
        """
        return self

    def arrange(self, columns: Columns) -> Columns:
        """Give a batch of labelled rows in the columns that `roles` names, made of those that were read; as they are.

        For data that comes in several forms. It is called on every batch before `refusals`, keeps the rows and their order,
        and hands on as it is what it cannot make sense of.
        """
        return columns

    @abstractmethod
    def roles(self) -> Roles:
        """Say which columns play which part (of a bound task)."""

    @abstractmethod
    def refusals(self, columns: Columns) -> list[str | None]:
        """For each row of a labelled split: None, or why it cannot be used (it goes to the quarantine).

        A reason is a short code, such as `empty-text`, which the ledger counts by; after ": " may stand what was found.
        """

    @abstractmethod
    def learn(self, train: Iterable[Columns]) -> Facts:
        """Learn label map and other facts from the training split. Raises DataError, for example for one class only."""

    def settings(self) -> dict[str, Any]:
        """Give the fields as plain JSON, as the runtime module gets them."""
        return self.model_dump(mode="json", exclude={"name", "when", "type"})

    def encode(self, columns: Columns, preprocessor: Preprocessor, facts: Facts) -> Arrays:
        """Turn columns into arrays, one entry per row (or window); ``row`` int64 says which row each came from.

        Pure. Targets are added by `targets`.
        """
        arrays: Arrays = import_module(self.runtime).encode(self.settings(), columns, preprocessor, facts)
        return arrays

    def targets(self, columns: Columns, arrays: Arrays, facts: Facts) -> Arrays:
        """Give the arrays that the objective needs besides `encode`'s, one entry per entry of `arrays`; by default none.

        Raises DataError for a target that the training split lacks.
        """
        return {}

    @abstractmethod
    def head(self, facts: Facts) -> HeadSpec:
        """Say which head the task needs."""

    def predict(self, call: Call, arrays: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
        """Run the model on one padded batch; named numpy outputs, one entry per entry of the batch."""
        module = import_module(self.runtime)
        outputs: dict[str, Any] = (
            module.predict(self.settings(), call, arrays, facts)
            if hasattr(module, "predict")
            else call("model", **arrays)
        )
        return outputs

    def postprocess(self, arrays: Arrays, outputs: Arrays, preprocessor: Preprocessor, facts: Facts) -> Arrays:
        """Turn into words what only the preprocessor can read, such as token ids; by default outputs stay as they are.

        Outputs are those of all rows, in the order of `arrays`; a text is an array [entries] of objects.
        """
        module = import_module(self.runtime)
        if not hasattr(module, "postprocess"):
            return outputs
        written: Arrays = module.postprocess(self.settings(), arrays, outputs, preprocessor, facts)
        return written

    def measuring(self, needs: frozenset[str]) -> Self:
        """Give the task as it predicts where only these keys of a prediction are wanted, as after each epoch.

        By default the task itself; one whose predictions are costly leaves out what nobody measures.
        """
        return self

    def decode(self, columns: Columns, arrays: Arrays, outputs: Mapping[str, Any], facts: Facts) -> list[Prediction]:
        """Turn outputs into one prediction per row of `columns`."""
        predictions: list[Prediction] = import_module(self.runtime).decode(
            self.settings(), columns, arrays, outputs, facts
        )
        return predictions

    def invented(self, texts: Sequence[str]) -> Columns:
        """Give rows as a prediction takes them, one per text, made of texts that stand in no data.

        For a bundle that may hold no text of the data. By default each text column gets one of them, another than the column
        before it; a task whose columns hold more than plain text makes its own.
        """
        return {
            name: [texts[(row + place) % len(texts)] for row in range(len(texts))]
            for place, name in enumerate(self.roles().text)
        }

    @abstractmethod
    def truths(self, columns: Columns, facts: Facts) -> list[Prediction]:
        """Give the target of each row in the form of a prediction, for the metrics."""

    def tune(self, columns: Columns, arrays: Arrays, outputs: Mapping[str, Any], facts: Facts) -> Facts:
        """Adjust facts (thresholds, temperature) on the validation split with the best model; by default unchanged."""
        return facts

    def save(self, folder: Path, facts: Facts) -> None:
        """Write beside the trained model in `folder` what other programs need to use it for this task; by default nothing."""
