"""Changing the text of a recipe: comments, order and quotes stay, and a change may be remarked upon where it stands."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from io import StringIO
from textwrap import wrap
from typing import Any

_WIDTH = 110


def read_text(text: str) -> Any:
    """Read a recipe's text so that `written` gives it back with its comments. It is valid YAML already.

    What stands there by an alias becomes a copy of its own, as it is for `read_yaml`: a change is one of one place.
    """
    raw = _yaml().load(text)
    _unshare(raw, set())
    return raw


def _unshare(value: Any, seen: set[int]) -> None:
    """Copy containers that were met before, and drop the anchors."""
    places = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for place, item in list(places):
        if not isinstance(item, (dict, list)):
            continue
        own = value[place] = deepcopy(item) if id(item) in seen else item
        seen.add(id(own))
        own.anchor.value = None  # type: ignore[union-attr]  # ruamel's containers have one
        _unshare(own, seen)


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
        if first_of_entry or any(_in_one_line(other) for other in holders[: depth + 1]):
            continue
        lines = [line for text in said for line in wrap(text, _WIDTH, subsequent_indent="  ")]
        holders[depth].yaml_set_comment_before_after_key(
            steps[depth], before="\n".join(lines), indent=holders[depth].lc.col
        )
        return True
    return False


def _in_one_line(holder: Any) -> bool:
    """Whether a container was written in one line, or put in later and has no place in the text."""
    return not hasattr(holder, "fa") or bool(holder.fa.flow_style())


def _yaml() -> Any:
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.width = _WIDTH
    yaml.preserve_quotes = True
    yaml.brace_single_entry_mapping_in_flow_sequence = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml
