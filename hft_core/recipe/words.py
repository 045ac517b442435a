"""What people read of fields and values."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


def typed(path: Path | str) -> str:
    """A path, or another word of a command, as one would type it here: relative if it lies below, quoted if it has to be."""
    absolute = path.absolute() if isinstance(path, Path) else None
    below = absolute is not None and absolute.is_relative_to(Path.cwd())
    text = str(absolute.relative_to(Path.cwd())) if absolute is not None and below else str(path)
    text = f"./{text}" if text.startswith("-") else text
    return text if re.fullmatch(r"[\w@%+=:,./-]+", text) else shlex.quote(text)


def short_name(path: str) -> str:
    """What people call a field: its last words."""
    steps = [step for step in path.split(".") if not step.isdecimal()]
    return ".".join(steps[-2:]) if len(steps) > 1 and steps[-1] in ("type", "name", "rate", "source") else steps[-1]


def shown_value(value: Any) -> str:
    """A value for people."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def change_title(changes: Iterable[Mapping[str, Any]]) -> str:
    """Changes of fields, each with `path`, `before` and `after`, for people: `lr 1e-05 → 3.2e-05`."""
    return ", ".join(
        f"{short_name(one['path'])} {_plain(one['before'], 'default')} → {_plain(one['after'], 'none')}"
        for one in changes
    )


def _plain(value: Any, nothing: str) -> str:
    """A value of any form in few words."""
    if value is None:
        return nothing
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else shown_value(value)
