"""A report without texts of the data, for runs that may not show any."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HOLDERS = frozenset({"edits", "errors", "examples", "passages"})
"""Keys of a report under which texts of the data stand, at any depth; whatever is added goes under one of them."""


def without_texts(content: Any) -> Any:
    """Give the same report with nothing under its `HOLDERS`."""
    if isinstance(content, Mapping):
        return {key: [] if key in HOLDERS else without_texts(value) for key, value in content.items()}
    return [without_texts(item) for item in content] if isinstance(content, list) else content
