"""Augmenter that replaces words by their neighbours in the model's embeddings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hft_core import Editor, LearningAugmenter, PluginError, Training
from hft_plugins.augmenters.protected import PROTECTED
from hft_plugins.augmenters.synonyms import table_editor
from hft_plugins.augmenters.table import Entry, Table
from hft_plugins.augmenters.words import words

_AT_ONCE = 1000
_MOST_ROWS = 100_000


class Neighbours(LearningAugmenter):
    """Replaces words by their nearest neighbours in the embeddings of the recipe's model; needs no lexicon.

    Both are words of the training rows (in Chinese: characters) that are one token of the model; of a model from scratch
    the embeddings say nothing. Neighbours share a topic rather than a meaning, antonyms among them: the words that
    `keep_labels` protects matter here more than in `synonyms`.
    """

    type: Literal["neighbours"]
    lexical: ClassVar[bool] = False
    reads_model: ClassVar[bool] = True
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers")
    rate: float = Field(default=0.1, gt=0, le=1)
    """Share of the words that are replaced: at least one, as far as there are neighbours."""
    neighbours: int = Field(default=3, ge=1, le=50)
    """How many of the nearest words one is drawn from."""
    similarity: float = Field(default=0.45, ge=-1, lt=1)
    """Least cosine of a neighbour."""
    most_words: int = Field(default=20_000, ge=2)
    """Most different words that are looked at: the most frequent ones."""
    protect: list[str] = Field(default_factory=list)
    """Further words that stay."""
    keep_labels: bool = True
    """Words that go with a label in the training rows stay, and none comes in that does, see `synonyms`."""

    def editor(self, training: Training) -> Editor:
        """Find the neighbours of all words. Raises PluginError where the model has no embeddings of tokens."""
        protected = PROTECTED.union(word.lower() for word in self.protect)
        found, vectors = _vectors(_frequent(training, self.most_words, protected), training)
        table = Table(self._entries(found, vectors), {})
        return table_editor(table, protected, self.rate, training if self.keep_labels else Training())

    def _entries(self, words: Sequence[str], vectors: NDArray[np.float32]) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        for start in range(0, len(words), _AT_ONCE):
            cosines = vectors[start : start + _AT_ONCE] @ vectors.T
            cosines[np.arange(len(cosines)), np.arange(start, start + len(cosines))] = -2  # not itself
            nearest = np.argsort(-cosines, axis=1, kind="stable")[:, : self.neighbours]
            for row, near in enumerate(nearest):
                others = tuple(words[at] for at in near if cosines[row, at] >= self.similarity)
                if others:
                    entries[words[start + row]] = Entry(0, others)
        return entries


def _frequent(training: Training, most: int, protected: frozenset[str]) -> list[str]:
    counts: Counter[str] = Counter()
    rows = 0
    for batch in training.rows():
        for name in training.roles.text:
            for text in batch[name]:
                counts.update(match[0].lower() for match in words(text))
        rows += len(batch[training.roles.text[0]])
        if rows >= _MOST_ROWS:
            break
    common = sorted(counts, key=lambda word: (-counts[word], word))
    return [word for word in common if word not in protected][:most]


def _vectors(candidates: Sequence[str], training: Training) -> tuple[list[str], NDArray[np.float32]]:
    """Give the words that are one token, and their embeddings [words, width] of length 1."""
    if training.net is None:
        raise PluginError("neighbours: there is no model to take embeddings from")
    net, preprocessor = training.net({})
    layer: Any = net.embedding()
    if layer is None or not hasattr(preprocessor, "encode"):
        raise PluginError("neighbours: the model has no embeddings of tokens; use `synonyms` with a table")
    ids = one_token(candidates, preprocessor)
    found = [word for word in candidates if word in ids]
    table = layer.weight.detach().float().cpu().numpy()[[ids[word] for word in found]]
    return found, table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-12)


def one_token(candidates: Sequence[str], preprocessor: Any) -> dict[str, int]:
    """Give the token of each word that is one token behind a space, and a known one."""
    special = set(preprocessor.settings().get("special", {}).values())
    encoded = preprocessor.encode([f" {word}" for word in candidates])["input_ids"]
    found: dict[str, int] = {}
    for position, word in enumerate(candidates):
        own = [token for token in encoded[position].tolist() if token not in special]
        if len(own) == 1:
            found[word] = own[0]
    return found
