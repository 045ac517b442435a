"""How words are found in batches: numbers of pieces, longest match, random numbers in a row."""

from __future__ import annotations

import random

import numpy as np

from hft_core import RowRandom, TextBatch, Training
from hft_core.runtime.edits import apply
from hft_plugins.augmenters import lookup
from hft_plugins.augmenters.longest import LongestMatch, unspaced_counts, word_lengths
from hft_plugins.augmenters.lookup import Lookup
from hft_plugins.augmenters.numbering import Numbering
from hft_plugins.augmenters.synonyms import Synonyms
from hft_plugins.augmenters.table import Entry, Table
from hft_plugins.augmenters.words import segmented, words


def test_numbers_are_those_of_a_dict() -> None:
    draw = random.Random(0)
    seen: dict[str, int] = {}
    numbering = Numbering(lambda piece: seen.setdefault(piece, len(seen)))
    sizes = (0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 22, 23, 24, 25, 60)
    for _ in range(12):
        texts = [
            " ".join("".join(draw.choices("abé好😀\0\n'", k=draw.choice(sizes))) for _ in range(draw.randrange(30)))
            for _ in range(500)
        ]
        numbers, counts = numbering.of(texts)
        assert counts.tolist() == [len(text.split(" ")) for text in texts]
        assert numbers.tolist() == [seen[piece] for text in texts for piece in text.split(" ")]
    assert len(seen) > 20_000  # the table has grown


def test_longest_match_is_that_of_one_text_after_the_other() -> None:
    draw = random.Random(1)
    characters = "送餐快好吃味道不的A1，\n"
    lexicon = {"".join(draw.choices(characters[:9], k=draw.choice((2, 2, 2, 3, 4)))) for _ in range(60)}
    lengths = word_lengths(lexicon)
    matcher = LongestMatch(lexicon, lengths)
    for _ in range(200):
        text = "".join(draw.choices(characters, k=draw.randrange(40)))
        expected = [(start, end) for start, end, _ in segmented(text, lexicon, (), lengths) if end - start > 1]
        assert [(start, end) for start, end in matcher.find(text) if text[start:end] in lexicon] == [
            (start, end) for start, end in expected if text[start:end] in lexicon
        ]
        assert unspaced_counts(text, np.array([0])).tolist() == [sum(char in characters[:9] for char in text)]
    assert list(LongestMatch(lexicon, lengths, ["快"]).find("快A快")) == [(0, 1), (2, 3)]


def test_spaced_and_unspaced_texts_of_one_batch() -> None:
    table = Table({"好吃": Entry(0, ("美味",)), "film": Entry(0, ("movie",))}, word_lengths(["好吃", "非常"]))
    found = Lookup(table, frozenset(["非常"])).find(
        ["a Film", "非常好吃，film 很好吃", "", "the Film", "好吃 an film", "film.film"], [()] * 6
    )
    assert found.counts.tolist() == [2, 5, 0, 2, 3, 2]
    assert [(row, start) for row, start in zip(found.rows.tolist(), found.starts.tolist(), strict=True)] == [
        (1, 2), (1, 5), (1, 11), (4, 0), (5, 0), (5, 5),
    ]  # fmt: skip


def test_what_is_known_of_pieces_may_be_forgotten(monkeypatch) -> None:
    monkeypatch.setattr(lookup, "_MOST_PIECES", 50)
    draw = random.Random(2)
    texts = [" ".join(draw.choices(["movie", "Film.", "big", f"x{row}", "It", "a"], k=8)) for row in range(300)]
    rows = np.arange(300)
    settings = Synonyms(type="synonyms", rate=0.5)
    whole = settings.edits(texts, [()] * 300, RowRandom(1, rows))
    editor = settings.editor(Training())
    parts = [
        edits
        for at in range(0, 300, 20)
        for edits in editor(TextBatch(texts[at : at + 20], [()] * 20, {}), RowRandom(1, rows[at : at + 20]))
    ]
    assert whole == parts
    assert any(text != apply(text, edits) for text, edits in zip(texts, whole, strict=True))


def test_random_numbers_one_row_after_the_other() -> None:
    draws = RowRandom(7, np.array([3, 99, 4]))
    table = draws.uniform(400)
    flat = draws.flat(np.array([2, 0, 400]))
    assert flat.tolist() == [*table[0, :2], *table[2]]
    assert len(draws.flat(np.array([0, 0, 0]))) == 0


def test_words_count_as_words_do() -> None:
    texts = ["It's 2 well-made films", "naïve café", "", "--", "don't , n't"]
    found = Lookup(Table({}, {}), frozenset()).find(texts, [()] * 5)
    assert found.counts.tolist() == [sum(1 for _ in words(text)) for text in texts]
