"""A run's report.json, read again: by `hft report`, which writes report and card anew, by `hft compare`, and to add a part."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hft_core.errors import DamagedError, RecipeError
from hft_core.pipeline.folder import recorded
from hft_core.pipeline.report_lineage import ablation
from hft_core.store.files import put_text
from hft_core.store.strict_json import plain, strict_json


def read_report(run: Path) -> dict[str, Any]:
    """Give what a run's report says. Raises RecipeError where there is none, DamagedError where it cannot be read."""
    file = run / "report.json"
    if not file.is_file():
        raise RecipeError(f"{run} is no run folder (it has no report.json); give the folder that hft run wrote")
    try:
        content: dict[str, Any] = json.loads(file.read_text("utf-8"))
        content["metrics"].items(), content["name"]
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise DamagedError(f"{file} is no report ({error!r}); run the recipe again") from error
    return content


def add_part(run: Path, part: str, content: Any) -> None:
    """Put what another command has found into the report of a run, under a key of report.json."""
    from hft_core.report.html import render

    report = read_report(run) | {part: plain(content)}
    put_text(run / "report.json", strict_json(report, indent=1) + "\n")
    put_text(run / "report.html", render(report))  # type: ignore[arg-type]  # the shape of Report


def rewrite(run: Path) -> tuple[Path, Path, dict[str, Any]]:
    """Write the page and the card of a run anew; gives both and what report.json says.

    Raises DamagedError where that lacks what this version shows, DiskError where the folder cannot be written.
    """
    from hft_core.report.card import render_card
    from hft_core.report.html import render

    content = read_report(run)
    if found := ablation(run, recorded(run).get("recipe", {})):
        content["ablation"] = found  # it may have been made after the run
    try:
        page, card = render(content), render_card(content)  # type: ignore[arg-type]  # the shape of Report
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise DamagedError(
            f"{run / 'report.json'} lacks what this version of hft shows ({error!r}); it was made by hft "
            f"{content.get('hft', '?')}. Run the recipe again: what is in the store is not trained anew"
        ) from error
    for name, text in (("report.html", page), ("README.md", card)):
        put_text(run / name, text)
    return run / "report.html", run / "README.md", content
