"""What `hft plugins check` does: the contract tests of a plugin in a process of their own, told as they come."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from hft_core.errors import PluginError

_MARKS = {"passed": ("✓", "green"), "failed": ("✗", "red"), "not checked": ("–", "yellow")}


def run_checks(name: str, files: Iterable[Path], disabled: Mapping[str, str], timeout: float, as_json: bool) -> None:
    """Make and tell the checks. Raises PluginError where one fails, or where the time is over, and names it."""
    environment = dict(os.environ)
    if disabled:
        environment["HFT_DISABLED_PLUGINS"] = ",".join([*disabled, environment.get("HFT_DISABLED_PLUGINS", "")])
    command = [sys.executable, "-m", "hft_core.testing", name, *map(str, files)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8", env=environment
    )
    over = threading.Event()
    said: list[str] = []
    listener = threading.Thread(target=lambda: said.extend(process.stderr or ()), daemon=True)
    listener.start()
    timer = threading.Timer(timeout, _end, (process, over))
    timer.start()
    begun, done = "importing it", list[dict[str, Any]]()
    try:
        for line in _lines(process):
            if "begun" in line:
                begun = line["begun"]
                continue
            done.append(line)
            if not as_json:
                _tell(line)
        code = process.wait()
    finally:
        timer.cancel()
        process.kill()  # unless it has ended: after an interrupt, and where a check has closed its output
        listener.join(1)
    if as_json:
        click.echo(json.dumps(done, ensure_ascii=False, indent=1))
    if over.is_set():
        raise PluginError(f"plugin {name}: its time of {timeout:g} s was over during {begun}; see --timeout")
    if not done:
        raise PluginError("".join(said).strip() or f"plugin {name}: the process that checks it ended with code {code}")
    counts = Counter(line["state"] for line in done)
    if code not in (0, 4):
        raise PluginError(f"plugin {name}: {begun} ended the process that checks it, with code {code}")
    told = ", ".join(f"{count} {state}" for state, count in counts.items())
    if counts["failed"]:
        raise PluginError(f"plugin {name} does not keep to the contract: {told}")
    if not as_json:
        click.echo(f"{name} keeps to the contract: {told}")


def _end(process: subprocess.Popen[str], over: threading.Event) -> None:
    over.set()
    process.kill()


def _lines(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    for line in process.stdout or ():
        yield json.loads(line)


def _tell(line: Mapping[str, Any]) -> None:
    mark, color = _MARKS[line["state"]]
    why = f"\n    {line['why']}" if line["why"] else ""
    click.echo(f"{click.style(mark, fg=color)} {line['id']}  {line['seconds']:.1f} s{why}")
