"""`hft plugins show`, `hft doctor`: what they tell, and what they say where there is nothing, or something wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hft_core.cli import doctor, machine
from hft_core.components import KINDS
from hft_core.registry import load_registry


def test_show_a_type_with_all_its_fields(hft_here: Callable[..., Any]) -> None:
    outcome = hft_here("plugins", "show", "near-duplicates", "--json")
    assert outcome.code == 0, outcome
    (shown,) = json.loads(outcome.out)
    assert (shown["kind"], shown["type"]) == ("cleaner", "near-duplicates")
    assert shown["plugin"].startswith("cleaners (hft-core ")
    file, _, line = shown["file"].rpartition(":")
    assert "class NearDuplicates" in Path(file).read_text("utf-8").splitlines()[int(line) - 1]
    fields = {field["name"]: field for field in shown["fields"]}
    assert {"threshold", "name", "when"} <= set(fields)
    assert all(field["doc"] for field in fields.values())


def test_show_every_type_there_is(hft_here: Callable[..., Any]) -> None:
    registry = load_registry(strict=False)
    for plugin in registry.plugins:
        outcome = hft_here("plugins", "show", plugin.name)
        assert outcome.code == 0, outcome
        assert all(component.type_name() in outcome.out for component in plugin.components)


def test_show_a_kind_twice_by_one_type(hft_here: Callable[..., Any]) -> None:
    """`regression` is a plugin, a task and an objective."""
    shown = json.loads(hft_here("plugins", "show", "regression", "--json").out)
    assert {(entry["kind"], entry["type"]) for entry in shown} == {("task", "regression"), ("objective", "regression")}
    assert {entry["kind"] for entry in shown} <= set(KINDS)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("adamww", "there is no plugin and no component 'adamww'; did you mean 'adamw'? Plugins: augmenters, "),
        ("zzz", "there is no plugin and no component 'zzz'. Plugins: "),
    ],
)
def test_show_what_is_not_there(name: str, said: str, hft_here: Callable[..., Any]) -> None:
    outcome = hft_here("plugins", "show", name)
    assert outcome.code == 4
    assert said in outcome.err


def test_show_a_broken_one(tmp_path: Path, hft_here: Callable[..., Any]) -> None:
    (tmp_path / "mine.py").write_text("raise ValueError('no')")
    outcome = hft_here("plugins", "show", "mine", "--plugin", "mine.py")
    assert outcome.code == 4
    assert "is not loaded: ValueError: no" in outcome.err


def test_doctor_tells_all(hft_here: Callable[..., Any]) -> None:
    found = json.loads(hft_here("doctor", "--json").out)
    assert set(found) == {
        "python", "processor", "memory", "accelerators", "torch", "packages", "plugins", "disk", "settings", "advice",
    }  # fmt: skip
    assert found["processor"]["cores"] >= 1
    assert found["packages"]["base"]["hft-core"]
    assert found["packages"]["train"]["torch"]
    assert {disk["use"] for disk in found["disk"]} == {"store", "temporary files", "models of the hub"}
    assert {plugin["problem"] for plugin in found["plugins"]} == {None}
    told = hft_here("doctor").out
    assert "packages (train): " in told
    assert "plugins: " in told


def test_doctor_names_a_broken_plugin_and_says_what_to_do(tmp_path: Path, hft_here: Callable[..., Any]) -> None:
    (tmp_path / "mine.py").write_text("import no_such_thing")
    outcome = hft_here("doctor", "--plugin", "mine.py")
    assert outcome.code == 0  # a patient is no error
    assert "advice: plugin mine (file" in outcome.out
    assert "No module named 'no_such_thing'; correct it, or leave it out: HFT_DISABLED_PLUGINS=mine" in outcome.out


HEALTHY: dict[str, Any] = {
    "processor": {"cores": 1, "features": ["AVX2", "AVX-512", "AVX512-BF16", "AMX"], "fast_bf16": True},
    "memory": {"total": 64.0, "available": 32.0},
    "accelerators": [],
    "torch": {},
    "packages": {"base": {"hft-core": "1"}, "train": {}},
    "plugins": [{"name": "mine (hft-mine 1)", "problem": None, "printed": None, "import_seconds": 0.0}],
    "disk": [{"use": "store", "path": "/store", "free": 100.0, "writable": True}],
    "settings": {},
}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, None),
        ({"packages": {"base": {"numpy": None}}}, 'commands do not work: numpy missing; run: pip install "hft-core"'),
        ({"packages": {"train": {"torch": None}}}, 'cannot train: torch missing; run: pip install "hft-core[train]"'),
        ({"packages": {"lora": {"peft": None}}}, None),  # an extra that nobody asked for is none of its business
        ({"memory": {"total": 2.0, "available": 0.5}}, "0.5 GB of memory are free"),
        ({"disk": [{**HEALTHY["disk"][0], "writable": False}]}, "/store (store) cannot be written: set HFT_STORE"),
        ({"disk": [{**HEALTHY["disk"][0], "free": 1.0}]}, "1.0 GB are free for store (/store): hft gc"),
        (
            {"plugins": [{**HEALTHY["plugins"][0], "printed": "hi"}]},
            "plugin mine (hft-mine 1) prints when it is imported",
        ),
        ({"plugins": [{**HEALTHY["plugins"][0], "import_seconds": 3.0}]}, "takes 3.0 s in every command"),
        ({"plugins": [{**HEALTHY["plugins"][0], "problem": "disabled by --disable"}]}, None),
        ({"packages": {"train": {"torch": "2.13"}}}, "this processor has fast bf16"),
        (
            {
                "packages": {"train": {"torch": "2.13"}},
                "processor": {"cores": 1, "features": ["AVX512-BF16"], "fast_bf16": False},
            },
            "this processor multiplies bf16 no faster than fp32",
        ),
        (
            {"accelerators": ["H200"], "torch": {"cuda": False, "version": "2.13.0+cpu", "built for": None}},
            "there is a GPU, which torch 2.13.0+cpu does not see",
        ),
        ({"accelerators": ["H200"], "torch": {"cuda": True, "version": "2.13.0", "built for": "13.0"}}, None),
    ],
)
def test_advice(changes: dict[str, Any], said: str | None) -> None:
    advice = doctor._advice({**HEALTHY, **changes})
    assert (any(said in line for line in advice) and len(advice) == 1) if said else advice == []


def test_processor_features_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flags = {"model name": "X", "flags": "fpu avx2 avx512f avx512_bf16 amx_tile amx_bf16"}
    monkeypatch.setattr(machine, "described_processor", lambda: flags)
    assert machine.processor()["features"] == ["AVX2", "AVX-512", "AVX512-BF16", "AMX"]
    assert machine.processor()["fast_bf16"]
    monkeypatch.setattr(machine, "described_processor", lambda: {"Features": "fp asimd bf16"})
    assert machine.processor()["features"] == ["NEON", "BF16 (Arm)"]


def test_an_accelerator_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the driver's own program, which may also fail."""
    program = tmp_path / "nvidia-smi"
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for text, expected in (("echo 'NVIDIA H200, 143771 MiB'", ["NVIDIA H200, 143771 MiB"]), ("exit 9", [])):
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
        assert machine.accelerators() == expected


@pytest.mark.slow
def test_torch_is_asked_in_a_process_of_its_own() -> None:
    found = machine.torch()
    assert found["version"]
    assert isinstance(found["cuda"], bool)
