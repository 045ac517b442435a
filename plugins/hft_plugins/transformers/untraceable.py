"""Architectures that cannot be exported."""

from __future__ import annotations

_KINDS = frozenset({"longformer", "led"})
"""They cut a text into windows by how many there are, and pick tokens by their mask: no one graph does that for all
lengths."""


def untraceable(kind: str) -> str | None:
    """Say why there is no graph for all lengths of an architecture, a config.json's `model_type`; None where there is one."""
    if kind not in _KINDS:
        return None
    return (
        f"a {kind} cannot be exported, because the windows that it cuts a text into depend on the text's length. For long "
        "texts take a `modernbert` (8,192 tokens) or another encoder with full attention, or a task with windows "
        "(`token-classification`, `question-answering`); to keep this model as it is, in torch, leave `export:` out"
    )
