"""`hft doctor`: what this machine and this installation can do, what is wrong, and what to do about it."""

from __future__ import annotations

import json
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any

import click

from hft_core.cli.options import disabled, plugin_options

_LITTLE_DISK = 5.0  # GB
_LITTLE_MEMORY = 2.0
_SLOW = 1.0  # seconds of CPU time for an import


@click.command("doctor")
@plugin_options
@click.option("--torch", "ask_torch", is_flag=True, help="Ask torch what it computes with, which takes some seconds.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(plugins: tuple[Path, ...], ask_torch: bool, as_json: bool) -> None:
    """Say what this machine and installation can do: versions, processor, GPU, plugins, disk; and what to do where it lacks.

    Imports plugins, as every command does, but not torch: where there is a GPU, or with --torch, another process asks it.
    """
    found = examine(plugins, ask_torch)
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, indent=1))
        return
    for title in ("python", "processor", "memory", "accelerators", "torch", "packages", "plugins", "disk", "settings"):
        if title == "torch" and not found[title] and _version("torch"):
            found[title] = "not asked; hft doctor --torch does it"
        _tell(title, found[title])
    for advice in found["advice"]:
        click.echo(f"{click.style('advice:', fg='yellow', bold=True)} {advice}")
    if not found["advice"]:
        click.echo("all is well; next: hft run RECIPE")


def examine(plugins: tuple[Path, ...] = (), ask_torch: bool = False) -> dict[str, Any]:
    """Find out everything that the command tells."""
    from hft_core.cli import machine
    from hft_core.registry import load_registry

    registry = load_registry(plugins, strict=False, disabled=disabled())
    accelerators = machine.accelerators()
    have_torch = _version("torch") is not None
    found: dict[str, Any] = {
        "python": f"{platform.python_version()} ({sys.executable}) on {platform.platform()}",
        "processor": machine.processor(),
        "memory": machine.memory(),
        "accelerators": accelerators,
        "torch": machine.torch() if have_torch and (ask_torch or accelerators) else {},
        "packages": _packages(),
        "plugins": [
            {
                "name": plugin.title,
                "problem": plugin.problem or None,
                "printed": plugin.said or None,
                "import_seconds": round(plugin.seconds, 2),
            }
            for plugin in registry.plugins
        ],
        "disk": machine.disks(Path(os.environ.get("HFT_STORE") or ".hft").absolute()),
        "settings": {name: value for name, value in sorted(os.environ.items()) if _is_setting(name)},
    }
    return found | {"advice": _advice(found)}


def _is_setting(name: str) -> bool:
    return name.startswith(("HFT_", "OMP_")) or name in ("HF_HOME", "HF_HUB_OFFLINE", "CUDA_VISIBLE_DEVICES")


def _packages() -> dict[str, dict[str, str | None]]:
    """What hft-core and its extras require: by extra, the version of each package that is installed."""
    from packaging.requirements import Requirement

    groups: dict[str, dict[str, str | None]] = {}
    for text in distribution("hft-core").requires or ():
        requirement = Requirement(text)
        marker = str(requirement.marker or "")
        extra = marker.partition("extra == ")[2].strip("\"' )") or "base"
        groups.setdefault(extra, {})[requirement.name] = _version(requirement.name)
    return {"base": {"hft-core": _version("hft-core")} | groups.pop("base", {})} | groups


def _advice(found: dict[str, Any]) -> list[str]:
    advice = []
    for extra, packages in found["packages"].items():
        lacking = [name for name, there in packages.items() if there is None]
        if lacking and extra in ("base", "train"):
            use = "" if extra == "base" else f"[{extra}]"
            what = (
                "commands do not work"
                if extra == "base"
                else "this installation checks recipes and predicts, but cannot train"
            )
            advice.append(f'{what}: {", ".join(lacking)} missing; run: pip install "hft-core{use}"')
    features = found["processor"]["features"]
    if found["packages"].get("train", {}).get("torch") and not found["accelerators"]:
        if found["processor"]["fast_bf16"]:
            advice.append("this processor has fast bf16: leave `precision: auto` in recipes, and training is faster")
        elif "AVX512-BF16" in features:
            advice.append(
                "this processor multiplies bf16 no faster than fp32: leave `precision: auto` in recipes, which trains in fp32"
            )
        elif not features or features == ["AVX2"]:
            advice.append(
                "this processor has no bf16 instructions: training is in fp32; exports in int8 predict faster"
            )
    if found["accelerators"] and found["torch"] and not found["torch"]["cuda"]:
        advice.append(
            f"there is a GPU, which torch {found['torch']['version']} does not see (built for CUDA: "
            f"{found['torch']['built for']}); install a torch that fits the driver, see pytorch.org/get-started"
        )
    if found["memory"] and found["memory"]["available"] < _LITTLE_MEMORY:
        advice.append(
            f"{found['memory']['available']} GB of memory are free: use small models, or a smaller `micro_batch`"
        )
    advice += [_of_plugin(plugin) for plugin in found["plugins"] if _of_plugin(plugin)]
    for disk in found["disk"]:
        if not disk["writable"]:
            advice.append(
                f"{disk['path']} ({disk['use']}) cannot be written: set HFT_STORE, TMPDIR or HF_HOME to another place"
            )
        elif disk["free"] < _LITTLE_DISK:
            advice.append(
                f"{disk['free']} GB are free for {disk['use']} ({disk['path']}): hft gc makes room in the store"
            )
    if (
        (found["processor"]["cores"] or 1) > 1
        and "OMP_WAIT_POLICY" not in found["settings"]
        and found["packages"].get("train", {}).get("torch")
    ):
        advice.append("on a shared machine set OMP_WAIT_POLICY=PASSIVE: threads that wait then do not keep cores busy")
    return advice


def _of_plugin(plugin: dict[str, Any]) -> str:
    name = plugin["name"].partition(" ")[0]
    problem = plugin["problem"] or ""
    if problem and not problem.startswith("disabled"):
        return f"plugin {plugin['name']} is not loaded: {problem}; correct it, or leave it out: HFT_DISABLED_PLUGINS={name}"
    if plugin["printed"]:
        return f"plugin {plugin['name']} prints when it is imported, which no plugin should; tell its author"
    if plugin["import_seconds"] > _SLOW:
        return (
            f"importing plugin {plugin['name']} takes {plugin['import_seconds']} s in every command; tell its author, or leave "
            f"it out: HFT_DISABLED_PLUGINS={name}"
        )
    return ""


def _tell(title: str, value: Any) -> None:
    if title == "packages":
        for extra, packages in value.items():
            shown = ", ".join(f"{name} {there or '(missing)'}" for name, there in packages.items())
            click.echo(f"{click.style(f'packages ({extra})', bold=True)}: {shown}")
        return
    if title == "plugins":
        loaded = [plugin for plugin in value if not plugin["problem"]]
        click.echo(f"{click.style('plugins', bold=True)}: {len(loaded)} loaded, {len(value) - len(loaded)} not")
        return
    if isinstance(value, list):
        value = "; ".join(
            f"{item['free']} GB free for {item['use']} ({item['path']})" if isinstance(item, dict) else item
            for item in value
        )
    elif isinstance(value, dict):
        value = "; ".join(f"{key} {', '.join(item) if isinstance(item, list) else item}" for key, item in value.items())
    click.echo(f"{click.style(title, bold=True)}: {value or 'none'}")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
