"""The task `token-classification`: entities in a text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from hft_core import Arrays, Columns, DataError, Facts, HeadSpec, Prediction, Ragged, Roles, Task
from hft_plugins.token_classification.columns import TAGS, TOKENS, arranged
from hft_plugins.token_classification.compounds import undivided
from hft_plugins.token_classification.words import words

UNLABELLED = -100
"""The label of a token that begins no word."""


class TokenClassification(Task):
    """Entities: stretches of the text, each of a type, which do not overlap.

    The data gives them as a list per row, ``[{"start": 0, "end": 5, "type": "location"}]``, in characters of the text
    (the end is behind the last one), as the reader `conll` and JSON Lines do; or as two lists per row, of tokens and of
    their tags (IOB1, BIO, BIOES, BMES or BILOU), as data sets of the hub do. Whole words are tagged; in Chinese and other
    scripts without spaces, single characters or the tokenizer's pieces. Long texts are read in overlapping windows:
    nothing is cut off.
    """

    type: Literal["token-classification"]
    text: str = "text"
    """Column with the text."""
    entities: str = "entities"
    """Column with the list of entities."""
    tokens: str | None = None
    """Column with the list of a text's tokens, where the data has no text and entities; found by itself: `tokens`, `words`."""
    tags: str | None = None
    """Column with the list of the tokens' tags; found by itself: `ner_tags`, `tags`, `labels`."""
    tag_names: list[str] | None = Field(default=None, min_length=1)
    """What tags stand for that are numbers in the data, counted from 0, such as [O, B-person, I-person]."""
    joiner: str | None = None
    """What stands between two tokens in the text; default: a space, but in Chinese and Japanese nothing, except between two
    ASCII tokens of which one has several characters."""
    overlap: int = Field(default=32, ge=0)
    """Tokens that neighbouring windows of a long text share, at most half a window."""

    objective: ClassVar[str] = "tagging"
    runtime: ClassVar[str] = "hft_plugins.token_classification.runtime"
    head_type: ClassVar[str] = "token-classification"
    gives: ClassVar[frozenset[str]] = frozenset({"entities"})
    default_metrics: ClassVar[tuple[dict[str, Any], ...]] = ({"type": "entity-f1"},)

    @model_validator(mode="after")
    def _tokens_have_tags(self) -> Self:
        if (self.tokens is None) != (self.tags is None):
            raise ValueError("`tokens` and `tags` belong together; name both columns")
        return self

    def bind(self, sample: Columns) -> Self:
        """Check that text and entities are there, or find the columns of tokens and tags that both are made of."""
        tokens = self.tokens or next((name for name in TOKENS if name in sample), None)
        tags = self.tags or next((name for name in TAGS if name in sample), None)
        if self.tokens or (self.entities not in sample and tokens and tags):
            for role, column in (("tokens", tokens), ("tags", tags)):
                if column not in sample:
                    raise _no_column(role, str(column), sample)
            return self.model_copy(update={"tokens": tokens, "tags": tags})
        for role, column in (("text", self.text), ("entities", self.entities)):
            if column not in sample:
                raise _no_column(role, column, sample)
        return self

    def arrange(self, columns: Columns) -> Columns:
        """Make text and entities of tokens and tags, where these are what the data has; in place of a bad row its reason.

        Raises DataError where one of the two columns is missing.
        """
        if self.tokens is None or self.tags is None or {self.tokens, self.tags}.isdisjoint(columns):
            return columns
        for role, column in (("tokens", self.tokens), ("tags", self.tags)):
            if column not in columns:
                raise _no_column(role, column, columns)
        rows = zip(columns[self.tokens], columns[self.tags], strict=True)
        made = [arranged(tokens, tags, self.tag_names, self.joiner) for tokens, tags in rows]
        return columns | {self.text: [text for text, _ in made], self.entities: [found for _, found in made]}

    def roles(self) -> Roles:
        """The entities are target and spans of the text, and no augmenter may change them."""
        entities = (self.entities,)
        return Roles(text=(self.text,), target=entities, spans=entities, protected=entities)

    def refusals(self, columns: Columns) -> list[str | None]:
        """A row needs a text and a list of entities, which may be empty."""
        return [
            entities
            if self.tokens and isinstance(entities, str)
            else _text_refusal(text) or _entities_refusal(text, entities)
            for text, entities in zip(columns[self.text], columns[self.entities], strict=True)
        ]

    def learn(self, train: Iterable[Columns]) -> Facts:
        """Freeze the types in alphabetical order, their counts, the tags (O, then begin and inside of each type), and which
        compounds no entity divides, such as hashtags: these are one word."""
        counts: Counter[str] = Counter()
        compounds: Sequence[str] | None = None
        for columns in train:
            rows = list(zip(columns[self.text], columns[self.entities], strict=True))
            counts.update(one["type"] for _, entities in rows for one in entities)
            compounds = undivided(rows, compounds)
        if not counts:
            raise DataError(
                f"task: no row of the training split has an entity in its column {self.entities!r}; check `entities:` "
                "and the file"
            )
        types = sorted(counts)
        labels = ["O", *(f"{prefix}-{name}" for name in types for prefix in "BI")]
        return {"labels": labels, "types": types, "counts": [counts[name] for name in types], "compounds": compounds}

    def targets(self, columns: Columns, arrays: Arrays, facts: Facts) -> Arrays:
        """`labels`, ragged int64: the tag at the first token of each word, -100 elsewhere.

        A word that an entity covers in part is tagged as if it were all of it.
        """
        offsets = arrays["offsets"]
        assert isinstance(offsets, Ragged)
        found = words(columns[self.text], offsets, np.asarray(arrays["row"]), facts["compounds"])
        kinds = {name: index for index, name in enumerate(facts["types"])}
        entities = np.array(
            [
                (base + one["start"], base + one["end"], kinds[one["type"]])
                for base, truth in zip(found.base.tolist(), self.truths(columns, facts), strict=True)
                for one in truth["entities"]
            ],
            np.int64,
        ).reshape(-1, 3)
        entities = np.concatenate([entities, [[np.iinfo(np.int64).max] * 2 + [0]]])  # one behind all words
        nearest = np.searchsorted(entities[:, 1], found.start, side="right")
        covered = entities[nearest, 0] < found.end
        first = np.append(True, nearest[1:] != nearest[:-1])[: len(nearest)]
        first[1:] |= ~covered[:-1]
        tags = np.where(covered, 1 + 2 * entities[nearest, 2] + ~first, 0)
        labels = np.where(found.begun >= 0, np.append(tags, 0)[found.begun], UNLABELLED)
        return {"labels": Ragged(labels, offsets.offsets)}

    def head(self, facts: Facts) -> HeadSpec:
        """A linear layer over each token."""
        return HeadSpec(self.head_type, size=len(facts["labels"]), labels=tuple(facts["labels"]))

    def truths(self, columns: Columns, facts: Facts) -> list[Prediction]:
        """``{"entities": [{"start", "end", "type"}, …]}`` per row, in order, without spaces at their borders."""
        rows = [
            _trimmed(text, entities) for text, entities in zip(columns[self.text], columns[self.entities], strict=True)
        ]
        found = Counter(one["type"] for entities in rows for one in entities)
        if unknown := {name: count for name, count in found.items() if name not in facts["types"]}:
            listed = ", ".join(f"{name!r} ({count} times)" for name, count in list(unknown.items())[:5])
            raise DataError(
                f"column {self.entities!r} has types that the training split lacks: {listed}; it knows "
                f"{', '.join(map(repr, facts['types'][:20]))}. Correct the types, or add such rows to train"
            )
        return [{"entities": entities} for entities in rows]


def _no_column(role: str, column: str, sample: Columns) -> DataError:
    return DataError(
        f"task: the data has no column {column!r} for {role}; its columns are {', '.join(sample)}. Set `{role}:` in the "
        "recipe's task, or `tokens:` and `tags:` for lists of tokens and their tags; for a file of tokens and tags, take the "
        "reader `conll`"
    )


def _text_refusal(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        return "not-a-text"
    return None if value and value.strip() else "empty-text"


def _entities_refusal(text: str, entities: Any) -> str | None:
    """Why a list of entities cannot be used, or None."""
    if not isinstance(entities, list) or not all(isinstance(one, Mapping) for one in entities):
        return "not-a-list-of-entities"
    for one in entities:
        start, end = one.get("start"), one.get("end")
        if not _is_place(start) or not _is_place(end):
            return f"entity-without-place: {dict(one)} has no whole numbers `start` and `end`"
        if not 0 <= start < end <= len(text):
            return f"entity-outside-text: {dict(one)} in a text of {len(text)} characters"
        if text[start:end].isspace():
            return "entity-of-spaces"
        if not isinstance(one.get("type"), str) or not one["type"].strip():
            return "entity-without-type"
    ordered = sorted((one["start"], one["end"]) for one in entities)
    overlaps = any(right[0] < left[1] for left, right in pairwise(ordered))
    return "overlapping-entities" if overlaps else None


def _is_place(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _trimmed(text: str, entities: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The entities in order without spaces at their borders; one that a cleaner emptied is left out."""
    result = []
    for one in sorted(entities, key=lambda one: (one["start"], one["end"])):
        inner = text[one["start"] : one["end"]]
        start = one["start"] + len(inner) - len(inner.lstrip())
        if start < (end := start + len(inner.strip())):
            result.append({"start": start, "end": end, "type": one["type"]})
    return result
