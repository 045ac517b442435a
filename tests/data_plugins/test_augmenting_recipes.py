"""Augmenters with models, and the check by a bundle, in whole recipes."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

import hft_core

from .augmenting import CHINESE, ENGLISH, LABELS


@pytest.mark.slow
def test_a_bundle_checks_variants(tiny: Any, exported: Path) -> None:
    """The bundle predicts for originals and variants, and what it takes for another label is left out."""
    tiny.recipe["prepare"] = {"augment": [{"type": "random-delete", "rate": 0.9, "check": str(exported)}]}
    run = hft_core.run(tiny.write())
    [note] = [json.loads(file.read_text("utf-8")) for file in (tiny.folder / ".hft").rglob("augmented.json")]
    checked = note["checked"]["random-delete"]
    assert checked["compared"] == checked["dropped"] + note["made"]["random-delete"] == 60
    assert "variants by random-delete changed the predicted label" in run.report.read_text("utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("language", ["english", "chinese"])
def test_augmenters_with_models_in_a_recipe(tiny: Any, folders: dict[str, Path], language: str) -> None:
    texts = ENGLISH if language == "english" else CHINESE
    rows = [
        {"review": f"{text} {other}", "sentiment": label}
        for text, label in zip(texts, LABELS, strict=True)
        for other in texts
    ]
    for file in ("train.csv", "dev.csv"):
        with (tiny.folder / file).open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, ["review", "sentiment"])
            writer.writeheader()
            writer.writerows(rows)
    tiny.recipe["model"] = {"type": "bert", "source": str(folders["bert"]), "max_length": 48}
    tiny.recipe["prepare"] = {
        "augment": [
            {"type": "neighbours", "similarity": -1, "keep_labels": False},
            {"type": "masked-words"},
            {"type": "back-translation", "forward": str(folders["t5"]), "back": str(folders["t5"]), "max_tokens": 8},
        ]
    }
    hft_core.run(tiny.write())
    [note] = [json.loads(file.read_text("utf-8")) for file in (tiny.folder / ".hft").rglob("augmented.json")]
    assert note["made"] == {"neighbours": 16, "masked-words": 16, "back-translation": 16}
    assert all(before != after for own in note["examples"].values() for before, after in own)
