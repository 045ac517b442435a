"""What a search has found, as plain JSON: the content of search.json, and of the search's part of reports."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from hft_core.report.content.search import SearchContent, Trial
from hft_core.search.database import shown_url
from hft_core.search.search import Search
from hft_core.search.study import ENDED, Entry
from hft_core.store.files import put_text
from hft_core.store.strict_json import strict_json

FORMAT = 1
"""Of search.json. Grows when a key goes or changes its meaning."""
_NOTED = ("seconds", "cpu_seconds", "reason", "seeds")


def content(search: Search) -> SearchContent:
    """Gather it."""
    entries = search.study.entries()
    best = search.study.best()
    ended = [entry for entry in entries if entry.state in ENDED]
    limit = search.settings.limit
    enough = search.study.exhausted() or (limit is not None and len(ended) >= limit)
    own = search.own is not None and bool(entries) and entries[0].figure is not None
    return {
        "format": FORMAT,
        "name": search.base.recipe.name,
        "study": search.study.name,
        "storage": shown_url(search.url),
        "metric": search.best.title,
        "greater_is_better": search.best.metric.greater_is_better,
        "space": {
            path: dimension.model_dump(mode="json", exclude_unset=True)
            for path, dimension in search.settings.space.items()
        },
        "trials": [_trial(entry) for entry in entries],
        "best": best.number if best else None,
        "written": entries[0].figure if own else None,
        "importance": search.study.importance(),
        "limit": limit,
        "complete": len(ended) == len(entries) and enough,
        "rows": best.notes.get("rows") if best else None,
        "cost": {
            "seconds": round(_total(ended, "seconds"), 1),
            "cpu_seconds": round(_total(ended, "cpu_seconds"), 1),
            "stages": sum(int(entry.notes.get("stages", 0)) for entry in ended),
            "trained": sum(int(entry.notes.get("trained", 0)) for entry in ended),
        },
        "written_at": datetime.now().astimezone().isoformat(timespec="seconds"),
    }


def write(search: Search, target: Path) -> SearchContent:
    """Write search.json and search.html into a folder, each whole."""
    found = content(search)
    put_text(target / "search.json", strict_json(found, indent=1) + "\n")
    put_text(target / "search.html", _page(found))
    return found


def _page(found: SearchContent) -> str:
    from hft_core.report.html import page
    from hft_core.report.markup import element
    from hft_core.report.search import search as of_search

    facts = f"search over {len(found['space'])} fields"
    header = element("header", element("h1", found["name"]), element("p", facts, class_="muted"))
    return page(
        f"{found['name']}: search",
        header,
        {"Search": of_search(found)},
        "The same content for machines is in search.json.",
    )


def _trial(entry: Entry) -> Trial:
    found: dict[str, Any] = {
        "number": entry.number,
        "state": entry.state,
        "figure": entry.figure,
        "values": dict(entry.values),
        "curve": [(epoch, figure if math.isfinite(figure) else None) for epoch, figure in sorted(entry.curve.items())],
    }
    found |= {name: entry.notes[name] for name in _NOTED if name in entry.notes}
    return cast(Trial, found)


def _total(entries: Sequence[Entry], name: str) -> float:
    return sum(float(entry.notes.get(name, 0.0)) for entry in entries)
