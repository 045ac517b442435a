"""What the exporter is checked with: how its file is read again, so that its answers can be compared with the net's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hft_core.testing import Sample

Rows = list[dict[str, Any]]


def reload(folder: Path) -> Callable[[Rows], Rows]:
    """Give what answers rows with the predictions in the file."""
    lines = [json.loads(line) for line in (folder / "attributions.jsonl").read_text("utf-8").splitlines()]
    answers = {line["row"]: line["prediction"] for line in lines}
    return lambda rows: [answers[number] for number in range(len(rows))]


SAMPLES = {"explain": Sample(settings={"rows": 8, "steps": 4}, reload=reload)}
