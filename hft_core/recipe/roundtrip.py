"""Changing the text of a recipe: comments, order and quotes stay, and a change may be remarked upon where it stands."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO
from textwrap import wrap
from typing import Any

_WIDTH = 110


def read_text(text: str) -> Any:
    """Read a recipe's text so that `written` gives it back with its comments. It is valid YAML already."""
    return _yaml().load(text)


def written(raw: Any) -> str:
    """Give the text of what `read_text` gave, as it is now."""
    stream = StringIO()
    _yaml().dump(raw, stream)
    return stream.getvalue()


def remark(raw: Any, path: str, said: Sequence[str]) -> bool:
    """Put remarks above the field at `path`, or above what it stands in where that is written in one line.

    False where all is written in one line, so that there is no place for them.
    """
    holders, holder, steps = [], raw, []
    for step in path.split("."):
        steps.append(int(step) if isinstance(holder, list) else step)
        holders.append(holder)
        holder = holder[steps[-1]]
    for depth in reversed(range(len(steps))):
        first_of_entry = depth and isinstance(holders[depth - 1], list) and next(iter(holders[depth])) == steps[depth]
        if first_of_entry or any(other.fa.flow_style() for other in holders[: depth + 1]):
            continue
        lines = [line for text in said for line in wrap(text, _WIDTH, subsequent_indent="  ")]
        holders[depth].yaml_set_comment_before_after_key(
            steps[depth], before="\n".join(lines), indent=holders[depth].lc.col
        )
        return True
    return False


def _yaml() -> Any:
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.width = _WIDTH
    yaml.preserve_quotes = True
    yaml.brace_single_entry_mapping_in_flow_sequence = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml
