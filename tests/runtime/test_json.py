"""Commands that speak JSON to machines."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from hft_core.store.store import Store


def test_check(tiny: Any, hft_here: Callable[..., Any]) -> None:
    recipe = tiny.write()
    outcome = hft_here("check", recipe, "--json")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out) == {"recipe": str(recipe), "name": "tiny", "stages": 1, "sources": 2}
    assert hft_here("check", recipe, "--json", "--set", "stages.0.epoch=3").code == 2


def test_gc(hft_here: Callable[..., Any], tmp_path: Path, surroundings: Mapping[str, str]) -> None:
    store = Store(Path(surroundings["HFT_STORE"]))
    store.write("a" * 64, lambda folder: (folder / "a.txt").write_text("a", encoding="utf-8") and None)
    orphan = store.folder("a" * 64)
    for flags, removed in (((), False), (("--yes",), True)):
        outcome = hft_here("gc", tmp_path, "--json", *flags)
        assert outcome.code == 0, outcome.err
        said = json.loads(outcome.out)
        assert (said["store"], said["removed"]) == (str(store.root), removed)
        assert [(item["folder"], item["reason"]) for item in said["items"]] == [(str(orphan), "no run refers to it")]
        assert said["items"][0]["bytes"] > 0
        assert orphan.exists() != removed


@pytest.mark.slow
def test_export(tiny: Any, hft_here: Callable[..., Any]) -> None:
    tiny.recipe["export"] = [{"type": "onnx"}]
    run = hft_here("run", tiny.write(), "--json")
    assert run.code == 0, run.err
    again = hft_here("export", json.loads(run.out)["run"], "--json")
    assert again.code == 0, again.err
    assert json.loads(again.out) == json.loads(run.out)
