"""What holds for every augmenter."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hft_core import Augmenter, RowRandom, TextBatch
from hft_core.registry import load_registry
from hft_core.runtime.edits import apply, touches
from hft_plugins.augmenters.protected import PROTECTED
from hft_plugins.augmenters.words import words

from .augmenting import CHINESE, ENGLISH, LABELS, training_of


@pytest.fixture(scope="module")
def every(folders: dict[str, Path]) -> dict[str, tuple[Augmenter, Augmenter]]:
    """All built-in augmenters by type, with settings for English and for Chinese."""
    chinese = {
        "synonyms": {"table": folders["zh.tsv"]},
        "random-insert": {"table": folders["zh.tsv"]},
        "character-noise": {"table": folders["sounds.tsv"]},
    }
    both = {
        "neighbours": {"similarity": -1, "keep_labels": False},
        "back-translation": {"forward": folders["t5"], "back": folders["t5"], "max_tokens": 8, "beams": 2},
    }
    classes = load_registry().classes("augmenter")
    found = {
        name: tuple(
            kind.model_validate({"type": name, "copies": 2} | both.get(name, {}) | own)
            for own in ({}, chinese.get(name, {}))
        )
        for name, kind in classes.items()
        if kind.__module__.startswith("hft_plugins.")
    }
    assert len(found) == 12
    return found


def entities(texts: list[str]) -> list[list[dict[str, Any]]]:
    """The second word of each text, or its second and third characters."""
    found = []
    for text in texts:
        start, end = [match.span() for match in words(text)][1]
        end = start + 2 if not text.isascii() else end
        found.append([{"start": start, "end": end, "type": "thing"}])
    return found


def blocked(*args: Any, **kwargs: Any) -> Any:
    raise AssertionError("an augmenter reached for the network")


@pytest.mark.parametrize("language", ["english", "chinese"])
def test_every_augmenter_off_the_network_in_english_and_chinese(
    every: dict[str, Any], folders: dict[str, Path], language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "socket", blocked)
    monkeypatch.setattr(socket, "create_connection", blocked)
    monkeypatch.setattr(socket, "getaddrinfo", blocked)
    texts = ENGLISH if language == "english" else CHINESE
    marks = entities(texts)
    training = training_of(texts, folders["bert"], entities=marks)
    rows = np.arange(4)
    for name, pair in every.items():
        editor = pair[language == "chinese"].editor(training)
        whole = name == "sentence-order"  # it moves nothing with a span in it
        spans: Any = [[] if whole else [(mark["start"], mark["end"]) for mark in own] for own in marks]
        batch = TextBatch(texts, spans, {"text": texts, "label": LABELS, "entities": marks})
        edits = editor(batch, RowRandom(5, rows))
        after = [apply(text, own) for text, own in zip(texts, edits, strict=True)]
        changed = sum(one != other for one, other in zip(texts, after, strict=True))
        assert changed >= (1 if name == "back-translation" else 3), (name, after)
        if name == "back-translation":
            continue  # where floats are near, a batch of one may decide otherwise
        for row in rows:  # a row's variant does not hang on the rest of the batch
            alone = TextBatch(
                [texts[row]], [spans[row]], {"text": [texts[row]], "label": [LABELS[row]], "entities": [marks[row]]}
            )
            assert editor(alone, RowRandom(5, rows[row : row + 1])) == [edits[row]], name


def test_protected_words_stay_in_every_augmenter_that_replaces(every: dict[str, Any], folders: dict[str, Path]) -> None:
    for language, texts in enumerate((ENGLISH, CHINESE)):
        training = training_of(texts, folders["bert"])
        for name in ("synonyms", "neighbours", "masked-words", "character-noise"):
            augmenter = every[name][language].model_copy(update={"rate": 1.0})
            batch = TextBatch(texts, [[]] * 4, {"text": texts, "label": LABELS})
            for text, edits in zip(texts, augmenter.editor(training)(batch, RowRandom(2, np.arange(4))), strict=True):
                stay = [
                    match.span()
                    for match in words(text)
                    if match[0].lower() in (PROTECTED if text.isascii() else {"不", "了", "也"})
                ]
                assert edits, name
                assert not any(touches(edit, span) for edit in edits for span in stay), name


def test_fresh_and_check_are_refused_where_they_cannot_work() -> None:
    classes = load_registry().classes("augmenter")
    with pytest.raises(ValueError, match="needs a model"):
        classes["masked-words"].model_validate({"type": "masked-words", "fresh": True})
    with pytest.raises(ValueError, match="none can be checked"):
        classes["synonyms"].model_validate({"type": "synonyms", "fresh": True, "check": "tfidf"})
