"""Folders and hub names that a model starts from: what is refused, and what is fetched again."""

from __future__ import annotations

import builtins
import json
import shutil
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from hft_core import HeadSpec, PluginError
from hft_plugins.transformers import source, tokenizer


@pytest.fixture
def prompts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Questions that were asked on the terminal."""
    asked: list[str] = []

    def answered(question: str = "") -> str:
        asked.append(question)
        return "n"

    monkeypatch.setattr(builtins, "input", answered)
    return asked


@pytest.fixture
def with_own_code(bert: Any, tmp_path: Path) -> Path:
    """A model whose config.json names Python files of its own."""
    folder = tmp_path / "own-code"
    shutil.copytree(bert.start, folder)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config["model_type"] = "own"
    config["auto_map"] = {
        "AutoConfig": "code.C",
        "AutoModel": "code.M",
        "AutoModelForSequenceClassification": "code.M",
        "AutoTokenizer": ["code.T", None],
    }
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    (folder / "code.py").write_text("raise SystemExit('the code ran')\n", "utf-8")
    return folder


def test_a_model_with_its_own_code_is_refused_without_a_prompt(
    bert: Any, with_own_code: Path, prompts: list[str]
) -> None:
    with pytest.raises(PluginError, match="cannot be loaded"):
        bert.model.build(with_own_code, bert.preprocessor, {"main": HeadSpec("sequence-classification", size=2)})
    assert prompts == []


def test_a_tokenizer_with_its_own_code_is_refused_without_a_prompt(with_own_code: Path, prompts: list[str]) -> None:
    (with_own_code / "tokenizer.json").unlink()
    config = {"auto_map": {"AutoTokenizer": ["code.T", None]}, "tokenizer_class": "T"}
    (with_own_code / "tokenizer_config.json").write_text(json.dumps(config), "utf-8")
    with pytest.raises(PluginError, match="cannot be converted"):
        tokenizer.from_folder(with_own_code, None)
    assert prompts == []


class Hub:
    """Stands in for the hub's client: a cache, which may be partial, and what fetching adds to it."""

    def __init__(self, cache: Path, whole: Path):
        self.cache, self.whole, self.fetched = cache, whole, 0

    def __call__(self, name: str, *, local_files_only: bool = False, **_: Any) -> str:
        if local_files_only:
            if not self.cache.exists():
                raise LocalEntryNotFoundError("not there")
            return str(self.cache)
        self.fetched += 1
        shutil.copytree(self.whole, self.cache, dirs_exist_ok=True)
        return str(self.cache)


@pytest.mark.parametrize(
    ("cached", "fetches"),
    [(None, 1), (["config.json"], 1), (["config.json", "model.safetensors"], 1), ("all", 0)],
)
def test_a_partial_cache_does_not_hide_the_hub(
    bert: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cached: Any, fetches: int
) -> None:
    hub = Hub(tmp_path / "cache", bert.start)
    if cached == "all":
        shutil.copytree(bert.start, hub.cache)
    elif cached:
        hub.cache.mkdir()
        for name in cached:
            shutil.copy(bert.start / name, hub.cache)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", hub)
    assert source.locate("some/model", "main") == hub.cache
    assert hub.fetched == fetches


def test_a_hub_model_without_safetensors_is_refused_for_that(
    bert: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tmp_path / "whole"
    shutil.copytree(bert.start, whole)
    (whole / "model.safetensors").unlink()
    monkeypatch.setattr(huggingface_hub, "snapshot_download", Hub(tmp_path / "cache", whole))
    with pytest.raises(PluginError, match="has no weights"):
        source.locate("some/model", "main")


def test_a_missing_weight_file_of_several_is_named(bert: Any, tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    shutil.copytree(bert.start, folder)
    index = {"weight_map": {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), "utf-8")
    with pytest.raises(PluginError, match="lacks 1 of its weight files, such as model-00002"):
        source.locate(folder, "main")
