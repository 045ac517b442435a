"""The tasks `few-shot-classification` and `prompt-classification`: one label per text, learned from a few rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import BeforeValidator, Field, field_validator

from hft_core import Arrays, Columns, DataError, Facts, HeadSpec, Prediction, RecipeError, Roles, Task, target_text

Label = Annotated[str, BeforeValidator(lambda value: str(value) if type(value) in (int, float) else value)]
"""A label in a recipe: YAML reads `1` as a number, labels are texts."""
Word = Annotated[str, Field(min_length=1)]


class LabelledTexts(Task):
    """Base of the tasks: rows of a text and a label."""

    text: str = "text"
    """Column with the text."""
    label: str = "label"
    """Column with the label."""

    gives: ClassVar[frozenset[str]] = frozenset({"label", "score", "scores"})
    default_metrics: ClassVar[tuple[dict[str, Any], ...]] = ({"type": "accuracy"}, {"type": "f1", "average": "macro"})
    target_form: ClassVar[Literal["label"]] = "label"

    def bind(self, sample: Columns) -> Self:
        """Look whether the columns are there."""
        for role in ("text", "label"):
            if (column := getattr(self, role)) not in sample:
                raise DataError(
                    f"task: the data has no column {column!r} for {role}; its columns are {', '.join(sample)}. Set `{role}:` in "
                    "the recipe's task"
                )
        return self

    def roles(self) -> Roles:
        """A text, and a label."""
        return Roles(text=(self.text,), target=(self.label,))

    def refusals(self, columns: Columns) -> list[str | None]:
        """A row needs a text, and a label that is a single value."""
        return [_refusal(text, label) for text, label in zip(columns[self.text], columns[self.label], strict=True)]

    def learn(self, train: Iterable[Columns]) -> Facts:
        """Freeze the labels, sorted, and how many rows each has. Raises DataError where there are fewer than two."""
        counts: Counter[str] = Counter()
        for columns in train:
            counts.update(map(target_text, columns[self.label]))
        if len(counts) < 2:
            found = f"only {next(iter(counts))!r}" if counts else "none"
            raise DataError(
                f"task: classification needs at least two labels, but column {self.label!r} of the training split has {found}; "
                "check `label:`, and that each label has rows in the file"
            )
        return {"labels": sorted(counts), "counts": [counts[label] for label in sorted(counts)]}

    def targets(self, columns: Columns, arrays: Arrays, facts: Facts) -> Arrays:
        """`labels` int64, one per entry: places in the facts' `labels`."""
        ids = {label: index for index, label in enumerate(facts["labels"])}
        labels = np.array([ids[truth["label"]] for truth in self.truths(columns, facts)], np.int64)
        return {"labels": labels[np.asarray(arrays["row"])]}

    def truths(self, columns: Columns, facts: Facts) -> list[Prediction]:
        """``{"label": …}`` per row. Raises DataError for labels that the training split lacks."""
        words = list(map(target_text, columns[self.label]))
        if unknown := sorted(set(words) - set(facts["labels"])):
            raise DataError(
                f"column {self.label!r} has labels without a row in the training split: {_listed(unknown)}; it knows "
                f"{_listed(facts['labels'])}. Correct the labels, or add a few such rows to train"
            )
        return [{"label": word} for word in words]


class FewShotClassification(LabelledTexts):
    """One label per text, by a linear layer over the text's embedding: the mean of its tokens' last states, of length 1.

    So it reads what sentence encoders are made to give (Reimers & Gurevych 2019). In the manner of SetFit (Tunstall et al.
    2022) `contrastive-pairs` moves the encoder and `fitted-head` fits the layer; the task's own objective trains both by
    cross-entropy.
    """

    type: Literal["few-shot-classification"]

    objective: ClassVar[str] = "classification"
    runtime: ClassVar[str] = "hft_fewshot.runtime"
    head_type: ClassVar[str] = "factory"

    def head(self, facts: Facts) -> HeadSpec:
        """The embedding, and a linear layer over it."""
        labels = tuple(facts["labels"])
        return HeadSpec(EMBEDDED, size=len(labels), labels=labels, factory=_Factory(len(labels)))


class PromptClassification(LabelledTexts):
    """One label per text, by the words that a masked language model puts into a gap (Schick & Schütze 2021, PET).

    `{text} It was {gap}.` asks for a word, `verbalizers` say which words stand for which label: a label's logit is the mean of
    its words' logits, and of a word of several tokens their sum, each at its own mask token. Nothing is new in the model, so a
    few rows go a long way, if it was pre-trained as a masked language model. Of a text that is too long for the model the end
    is cut, never the pattern.
    """

    type: Literal["prompt-classification"]
    pattern: str
    """What the model reads: `{text}` once, and `{gap}` once, such as `{text} It was {gap}.` or `{text} 总之，很{gap}。`"""
    verbalizers: dict[Label, Word | list[Word]]
    """The words of each label, such as `{negative: terrible, positive: [great, good]}`. All words of a recipe need the same
    number of tokens in the model's vocabulary: the gap is so many mask tokens."""

    objective: ClassVar[str] = "prompt"
    runtime: ClassVar[str] = "hft_fewshot.prompt_runtime"
    head_type: ClassVar[str] = "masked-lm"

    @field_validator("pattern")
    @classmethod
    def _has_both_places(cls, pattern: str) -> str:
        for place in ("{text}", "{gap}"):
            if (times := pattern.count(place)) != 1:
                raise ValueError(
                    f"it needs `{place}` once, and has it {times} times; write such as '{{text}} It was {{gap}}.'"
                )
        return pattern

    @field_validator("verbalizers")
    @classmethod
    def _tells_labels_apart(cls, verbalizers: dict[str, str | list[str]]) -> dict[str, list[str]]:
        words = {label: [given] if isinstance(given, str) else given for label, given in verbalizers.items()}
        owners: dict[str, str] = {}
        for label, own in words.items():
            if not own:
                raise ValueError(f"the label {label!r} has no word; give it one")
            for word in own:
                if owners.setdefault(word, label) != label:
                    raise ValueError(f"{word!r} stands for {owners[word]!r} and {label!r}; a word tells one label")
        return words

    def learn(self, train: Iterable[Columns]) -> Facts:
        """Freeze the labels. Raises RecipeError where verbalizers and labels are not the same."""
        facts = super().learn(train)
        unknown = [label for label in self.verbalizers if label not in facts["labels"]]
        silent = [label for label in facts["labels"] if label not in self.verbalizers]
        if unknown:
            raise RecipeError(
                f"task: verbalizers has {unknown[0]!r}, which is no label of the training split; its labels are "
                f"{_listed(facts['labels'])}"
            )
        if silent:
            raise RecipeError(
                f"task: the label {silent[0]!r} has no verbalizer; add `{silent[0]}: WORD` to `verbalizers`"
            )
        return facts

    def head(self, facts: Facts) -> HeadSpec:
        """The language model's own."""
        return HeadSpec(self.head_type)


EMBEDDED = "embedded-classification"
"""The name of the head with an embedding in it."""


class _Factory:
    """Makes the head; a class and no closure, for it travels between processes."""

    def __init__(self, labels: int):
        self.labels = labels

    def __call__(self, width: int) -> Any:
        from hft_fewshot.head import EmbeddedClassifier

        return EmbeddedClassifier(width, self.labels)


def _refusal(text: Any, label: Any) -> str | None:
    if text is not None and not isinstance(text, str):
        return "not-a-text"
    if not text or not text.strip():
        return "empty-text"
    if isinstance(label, list | dict):
        return "not-a-label"
    return None if target_text(label) else "empty-label"


def _listed(labels: list[str]) -> str:
    return ", ".join(map(repr, labels[:20])) + (f" and {len(labels) - 20} more" if len(labels) > 20 else "")
