"""The tasks `sentence-embedding` and `sentence-similarity`: a vector for each text, learned from pairs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator

from hft_core import Columns, DataError, Facts, HeadSpec, Prediction, Roles, Task

if TYPE_CHECKING:
    import torch


class PairTask(Task):
    """What both tasks share: two texts a row, whose vectors the backbone gives with nothing learned in between."""

    text: str = "text"
    """Column with one text of the pair; the only one that a prediction needs."""
    pooling: Literal["mean", "cls", "max", "last"] = "mean"
    """Which of the backbone's last states are the vector: their mean over the tokens, that of the first token (`cls`), the
    largest value of each number (`max`), or that of the last token, which is the one that has seen all of a text in a
    decoder (model `gpt`)."""
    normalise: bool = True
    """Give vectors of length 1, so that a product of two is their cosine."""

    runtime: ClassVar[str] = "hft_plugins.embeddings.runtime"
    head_type: ClassVar[str] = "factory"
    pair: ClassVar[str]
    """The field that names the column with the other text."""

    @property
    def pair_column(self) -> str:
        """The column with the other text."""
        return str(getattr(self, self.pair))

    @property
    def columns(self) -> dict[str, str]:
        """All columns that a training row has, by the field that names them."""
        return {"text": self.text, self.pair: self.pair_column}

    def bind(self, sample: Columns) -> Self:
        """Look whether the columns are there, and no column has two parts."""
        for field, column in self.columns.items():
            if column not in sample:
                raise DataError(
                    f"task: the data has no column {column!r} for {field}; its columns are {', '.join(sample)}. "
                    f"Set `{field}:` in the recipe's task"
                )
        names = list(self.columns.values())
        if twice := next((name for name in names if names.count(name) > 1), None):
            fields = [field for field, name in self.columns.items() if name == twice]
            raise DataError(f"task: {' and '.join(fields)} are the same column {twice!r}; set them to different ones")
        return self

    def roles(self) -> Roles:
        """Both texts; a prediction takes the second where there is one."""
        return Roles(text=(self.text, self.pair_column), optional=(self.pair_column,))

    def settings(self) -> dict[str, Any]:
        """The columns, and what the second one's vector is called in a prediction."""
        return {"text": self.text, "pair": self.pair_column, "pair_vector": f"{self.pair}_vector"}

    def head(self, facts: Facts) -> HeadSpec:
        """A pooling without weights."""
        return HeadSpec(f"{self.pooling}-pooled", factory=self._head)

    def _head(self, width: int) -> torch.nn.Module:
        from hft_plugins.embeddings.pooling import Pooled

        return Pooled("first" if self.pooling == "cls" else self.pooling, self.normalise, width)

    def save(self, folder: Path, facts: Facts) -> None:
        """Write the files by which sentence-transformers loads the model's folder."""
        from hft_plugins.embeddings.sentence_transformers import write

        write(folder, self.pooling, self.normalise)


class SentenceEmbedding(PairTask):
    """Vectors that find a text's partner among many: a question's paragraph, a sentence's translation."""

    type: Literal["sentence-embedding"]
    positive: str = "positive"
    """Column with a text that belongs to the first: its answer, its translation, another wording."""
    negative: str | None = None
    """Column with a text that does not, though it looks like it; default: none, other rows' texts are negatives enough."""
    label: str | None = None
    """Column by which rows belong together: texts of rows with the same value are no negatives of each other, and any of
    them counts as found. Rows that share a text belong together without it."""

    objective: ClassVar[str] = "in-batch-negatives"
    pair: ClassVar[str] = "positive"
    gives: ClassVar[frozenset[str]] = frozenset({"vector", "positive_vector"})
    default_metrics: ClassVar[tuple[dict[str, Any], ...]] = ({"type": "mrr"}, {"type": "recall-at", "k": 10})

    @property
    def columns(self) -> dict[str, str]:
        """All columns that a training row has, by the field that names them."""
        more = {"negative": self.negative, "label": self.label}
        return super().columns | {field: name for field, name in more.items() if name is not None}

    def roles(self) -> Roles:
        """A negative is a text that cleaners repair, and that no prediction reads; rows that share a partner stay together."""
        own = super().roles()
        hard = () if self.negative is None else (self.negative,)
        label = () if self.label is None else (self.label,)
        return Roles(
            text=own.text,
            optional=own.optional,
            target=(*hard, *label),
            target_texts=hard,
            group=(self.positive,),
        )

    def refusals(self, columns: Columns) -> list[str | None]:
        """Each text has to be there; a label may be missing, which makes the row belong to no other."""
        names = [name for name in (self.text, self.positive, self.negative) if name is not None]
        return _refusals(columns, names)

    def learn(self, train: Iterable[Columns]) -> Facts:
        """Nothing. Raises DataError where there are no two pairs to tell apart."""
        seen: set[str] = set()
        for columns in train:
            seen.update(columns[self.positive])
            if len(seen) > 1:
                return {}
        raise DataError(
            f"task: learning from pairs takes two different ones, but column {self.positive!r} of the training split has "
            f"{'the same text in every row' if seen else 'none'}; check `positive:` and the file"
        )

    def truths(self, columns: Columns, facts: Facts) -> list[Prediction]:
        """Which texts belong together: `anchor`, `match` and, with a label, `group`."""
        groups = columns[self.label] if self.label is not None else [None] * len(columns[self.text])
        rows = zip(columns[self.text], columns[self.positive], groups, strict=True)
        return [{"anchor": text, "match": match, "group": group} for text, match, group in rows]


class SentenceSimilarity(PairTask):
    """Vectors whose cosine says how alike two texts are, learned from pairs that people have scored."""

    type: Literal["sentence-similarity"]
    other: str = "other"
    """Column with the other text of the pair."""
    score: str = "score"
    """Column with a number: how alike they are."""
    range: list[float] = Field(default=[0.0, 1.0], min_length=2, max_length=2)
    """The lowest and the highest score, such as [0, 5]; a row with another one goes to the quarantine."""

    objective: ClassVar[str] = "cosent"
    pair: ClassVar[str] = "other"
    gives: ClassVar[frozenset[str]] = frozenset({"vector", "other_vector", "score"})
    target_form: ClassVar[Literal["label", "labels", "number"] | None] = "number"
    default_metrics: ClassVar[tuple[dict[str, Any], ...]] = ({"type": "spearman"}, {"type": "pearson"})

    @field_validator("range")
    @classmethod
    def _rises(cls, value: list[float]) -> list[float]:
        if value[0] >= value[1]:
            raise ValueError(f"the lowest score comes first and is less than the highest, found {value}")
        return value

    @property
    def columns(self) -> dict[str, str]:
        """All columns that a training row has, by the field that names them."""
        return super().columns | {"score": self.score}

    def roles(self) -> Roles:
        """Both texts, and the score."""
        own = super().roles()
        return Roles(text=own.text, optional=own.optional, target=(self.score,))

    def refusals(self, columns: Columns) -> list[str | None]:
        """Both texts have to be there, and a number within the range."""
        texts = _refusals(columns, [self.text, self.other])
        return [
            text or _score_refusal(score, self.range) for text, score in zip(texts, columns[self.score], strict=True)
        ]

    def learn(self, train: Iterable[Columns]) -> Facts:
        """Nothing. Raises DataError where all pairs have the same score."""
        seen: set[float] = set()
        for columns in train:
            seen.update(map(float, columns[self.score]))
            if len(seen) > 1:
                return {}
        raise DataError(
            f"task: column {self.score!r} of the training split has {'the same score in every row' if seen else 'no score'}, "
            "from which nothing can be learned; check `score:` and the file"
        )

    def truths(self, columns: Columns, facts: Facts) -> list[Prediction]:
        """``{"score": …}`` per row, from 0 for the lowest of the range to 1 for the highest."""
        low, high = self.range
        return [{"score": (float(score) - low) / (high - low)} for score in columns[self.score]]


def _refusals(columns: Columns, names: Sequence[str]) -> list[str | None]:
    """For each row the first of these columns that has no text in it, and None where all have."""
    rows = zip(*(columns[name] for name in names), strict=True)
    return [
        next((reason for name, text in zip(names, row, strict=True) if (reason := _text_refusal(text, name))), None)
        for row in rows
    ]


def _text_refusal(value: Any, column: str) -> str | None:
    if value is not None and not isinstance(value, str):
        return f"not-a-text: column {column!r}"
    return None if value and value.strip() else f"empty-text: column {column!r}"


def _score_refusal(value: Any, bounds: Sequence[float]) -> str | None:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if math.isnan(number):
        return f"not-a-number: {repr(value)[:60]}"
    return None if bounds[0] <= number <= bounds[1] else f"score-out-of-range: {value}, not in {list(bounds)}"
