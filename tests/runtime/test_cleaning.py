from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

from hft_core.runtime.cleaning import clean, clean_columns, restored
from hft_core.runtime.edits import Edit


def replacing(pattern: str, replacement: str) -> Any:
    def edits(settings: dict[str, Any], texts: list[str]) -> list[list[Edit]]:
        return [[Edit(m.start(), m.end(), settings["by"]) for m in re.finditer(pattern, text)] for text in texts]

    return SimpleNamespace(edits=edits), {"by": replacement}


TAGS = replacing("<[^>]+>", "")
SPACES = replacing(r"\s+", " ")
AND = replacing("&amp;", "&")


def test_cleaners_run_in_order() -> None:
    cleaned, _ = clean(["<b>很  好</b> &amp;  吃", "plain"], [TAGS, AND, SPACES])
    assert cleaned == ["很 好 & 吃", "plain"]


def test_offsets_go_back_through_all_cleaners() -> None:
    original = "<p>Anna  Li</p> &amp; 王小明 at <b>ACME</b>"
    (cleaned,), (trail,) = clean([original], [TAGS, AND, SPACES])
    assert cleaned == "Anna Li & 王小明 at ACME"
    for found in ("王小明", "ACME", "Anna Li"):
        start = cleaned.index(found)
        back = trail.back(start, start + len(found))
        assert re.sub(r"\s+", " ", re.sub("<[^>]+>", "", original[slice(*back)])) == found


def test_predictions_speak_of_the_original_at_any_depth() -> None:
    original = "<p>Anna  Li</p> sings"
    _, (trail,) = clean([original], [TAGS, SPACES])
    prediction = {
        "entities": [{"start": 0, "end": 7, "text": "Anna Li", "type": "PER", "score": 0.9}],
        "answer": None,
        "start": None,
        "end": None,
    }
    mapped = restored(prediction, trail)
    entity = mapped["entities"][0]
    assert entity["text"] == original[entity["start"] : entity["end"]]
    assert "Anna  Li" in entity["text"]
    assert entity["type"] == "PER"
    assert mapped["answer"] is None
    assert mapped["start"] is None


def test_lone_surrogates_become_replacement_characters_without_a_shift() -> None:
    (cleaned,), (trail,) = clean(["a\ud800b😀"], [])
    assert cleaned == "a\ufffdb😀"
    assert trail.back(2, 3) == (2, 3)


def test_only_text_columns_are_cleaned_and_offsets_refer_to_the_first() -> None:
    columns = {"context": ["<b>x</b>y"], "question": ["<i>q</i>"], "label": ["<b>"]}
    cleaned, trails = clean_columns(columns, ["context", "question"], [TAGS])
    assert cleaned == {"context": ["xy"], "question": ["q"], "label": ["<b>"]}
    assert trails[0].original == "<b>x</b>y"
    assert columns["context"] == ["<b>x</b>y"]
