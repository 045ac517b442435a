"""Augmenter that replaces words by synonyms."""

from __future__ import annotations

from itertools import pairwise, repeat
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from hft_core import Edit, Editor, LearningAugmenter, RowRandom, TextBatch, Training
from hft_plugins.augmenters.label_words import label_weights, safest
from hft_plugins.augmenters.lookup import Found, Lookup
from hft_plugins.augmenters.protected import PROTECTED
from hft_plugins.augmenters.table import ENGLISH, Table, load
from hft_plugins.augmenters.words import segmented


class Synonyms(LearningAugmenter):
    """Replaces words by synonyms; negations, degree words, numbers, function words and names stay.

    A word is replaced only where it stands in the table as it is spelt in the text, up to case; the packaged table has
    plurals and forms of verbs with the same forms of their synonyms. Initial capitals and capitals are kept; a word with
    a capital within a sentence is taken for a name. After `a` and `an` only synonyms with a fitting first letter serve.
    Words with close synonyms come first. Chinese is cut into the longest words of the table; single characters stay.
    """

    type: Literal["synonyms"]
    rate: float = Field(default=0.1, gt=0, le=1)
    """Share of the words that are replaced: at least one, as far as the table has them."""
    table: Path | None = None
    """A TSV file in UTF-8 (`.gz` for a compressed one), one word a line: the word, a tab, its synonyms separated
    by `|` or tabs; or a tab file of the Open Multilingual Wordnet, such as `wn-data-cmn.tab`. By default an English table
    made of WordNet 3.0."""
    protect: list[str] = Field(default_factory=list)
    """Further words that stay."""
    keep_labels: bool = True
    """Words that go with a label in the training rows stay, and none comes in that does. Of the others, those come first on
    which a label hangs least: words without a leaning, and rare ones. For tasks with one label a row."""

    def editor(self, training: Training) -> Editor:
        """Read the table, and learn which words go with a label."""
        protected = PROTECTED.union(word.lower() for word in self.protect)
        table = load(self.table or ENGLISH, protected)
        return table_editor(table, protected, self.rate, training if self.keep_labels else Training())


def table_editor(table: Table, protected: frozenset[str], rate: float, training: Training) -> Editor:
    """Give an editor that replaces words by those of a table; with labelled `training` rows, see `keep_labels`."""
    if training.label:
        known = (table.entries, protected, table.lengths)
        weights = label_weights(training, lambda text: (word for _, _, word in segmented(text, *known)))
        table = Table(safest(table.entries, weights), table.lengths)
    lookup = Lookup(table, protected)

    def edits(batch: TextBatch, random: RowRandom) -> list[list[Edit]]:
        return replaced(lookup, lookup.find(batch.texts, batch.spans), rate, random)

    return edits


def replaced(lookup: Lookup, found: Found, rate: float, random: RowRandom) -> list[list[Edit]]:
    """Choose candidates at random, those of a lower tier first, and a synonym for each."""
    each = found.per_text()
    numbers = random.flat(each)
    wanted = np.maximum(1, np.rint(rate * found.counts).astype(np.int64))  # as `share`
    order = np.lexsort((lookup.tiers(found.choices) + numbers, found.rows))
    place = np.arange(len(order)) - np.repeat(np.cumsum(each) - each, each)
    taken = np.sort(order[place < np.repeat(wanted, each)])
    words = lookup.chosen(found.choices[taken], numbers[taken])
    triples = zip(found.starts[taken].tolist(), found.ends[taken].tolist(), words, strict=True)
    bounds = np.cumsum(np.bincount(found.rows[taken], minlength=len(each))).tolist()
    edits: list[Edit] = list(map(tuple.__new__, repeat(Edit), triples))  # a third of the time of Edit(…)
    return [edits[begin:end] for begin, end in pairwise([0, *bounds])]
