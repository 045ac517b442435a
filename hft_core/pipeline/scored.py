"""Which runs have scored which test labels: a figure on rows that many runs were chosen by is no fresh one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from hft_core.data.prepared import Prepared
from hft_core.pipeline.plan import Plan
from hft_core.pipeline.steps.common import read_json
from hft_core.store.files import put_text
from hft_core.store.hashing import digest_json
from hft_core.store.store import Store

_NOTES = "scored"


def note_scored(plan: Plan, store: Store, folders: Mapping[str, Path], run: Path) -> dict[str, Any] | None:
    """Note in the store that a run has scored its test labels; say when it did, and how many other runs did so before.

    A run that is carried out again scores nothing again and is the same one. None where there is no test.
    """
    whens, earlier = [], 0
    for task in plan.tasks.values():
        files = [folders[node.name] / "test.json" for node in task.evaluations]
        if not files or not files[0].is_file():
            continue
        notes = store.root / _NOTES / Prepared.load(folders[task.splits["test"].name]).digest("test")
        own = notes / f"{digest_json([node.key for node in task.evaluations])}.json"
        when = max(file.stat().st_mtime for file in files)
        others = [read_json(note)["when"] for note in notes.glob("*.json") if note.name != own.name]
        if own.is_file():
            when = read_json(own)["when"]
        else:
            put_text(own, json.dumps({"run": str(run.absolute()), "when": when}))
        whens.append(when)
        earlier = max(earlier, sum(other < when for other in others))
    if not whens:
        return None
    return {"when": datetime.fromtimestamp(max(whens)).astimezone().isoformat(timespec="seconds"), "earlier": earlier}
