"""What tuning has found so far, in files: tune.json and tune.html."""

from __future__ import annotations

from pathlib import Path

from hft_core.report.content.tuning import TuningContent
from hft_core.report.html import page
from hft_core.report.markup import element
from hft_core.report.tuning import tuning
from hft_core.store.files import put_text
from hft_core.store.strict_json import strict_json


def write(found: TuningContent, target: Path) -> None:
    """Write both into a folder, each whole."""
    put_text(target / "tune.json", strict_json(found, indent=1) + "\n")
    header = element("header", element("h1", found["name"]), element("p", "tuning, round by round", class_="muted"))
    footer = "The same content for machines is in tune.json."
    put_text(target / "tune.html", page(f"{found['name']}: tuning", header, {"Tuning": tuning(found)}, footer))
