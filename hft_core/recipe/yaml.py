"""Reads YAML 1.2 into plain values, with the line of each key, and with limits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hft_core.errors import RecipeError

Location = tuple[str | int, ...]
"""A path into the recipe, such as ("stages", 1, "optimizer", "lr")."""

SET = 0
"""Instead of a line: the entry was given with `--set`."""

_MAX_BYTES = 1_000_000
_MAX_DEPTH = 40
_MAX_NODES = 50_000
_CORE_TAGS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")


def read_yaml(path: Path) -> tuple[Any, dict[Location, int]]:
    """Read a file; gives its value and the line (from 1) of each entry. Raises RecipeError."""
    try:
        if path.is_dir():
            raise RecipeError(f"{path} is a folder; name the recipe file, such as {path / 'recipe.yaml'}")
        raw = path.read_bytes()
    except FileNotFoundError:
        near = sorted(item.name for item in path.parent.glob("*.y*ml")) if path.parent.is_dir() else []
        hint = f" That folder has: {', '.join(near[:5])}." if near else ""
        raise RecipeError(f"there is no recipe {path}.{hint}") from None
    except OSError as error:
        raise RecipeError(f"{path} cannot be read: {error.strerror}") from error
    if len(raw) > _MAX_BYTES:
        raise RecipeError(f"{path} has {len(raw):,} bytes; a recipe has at most {_MAX_BYTES:,}")
    try:
        return parse_yaml(raw.decode("utf-8-sig"), str(path))
    except UnicodeDecodeError as error:
        raise RecipeError(
            f"{path} is not UTF-8 text (byte {error.start}); if it is a recipe, save it as UTF-8"
        ) from error


def place_of(location: Location, lines: dict[Location, int]) -> str:
    """Where an entry stands, for messages: the line of the nearest entry that is written, and its path."""
    written = next((location[:n] for n in range(len(location), -1, -1) if location[:n] in lines), None)
    line = "" if written is None else "--set" if lines[written] == SET else f"line {lines[written]}"
    return ", ".join(filter(None, (line, ".".join(map(str, location)))))


def parse_yaml(text: str, where: str) -> tuple[Any, dict[Location, int]]:
    """Parse one document; `where` names it in errors."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    yaml = YAML(typ="safe", pure=True)
    try:
        node = yaml.compose(text)
        if node is None:
            raise RecipeError(f"{where} is empty")
        lines: dict[Location, int] = {}
        return _Builder(yaml.constructor, where, lines).value(node, ()), lines
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        begun = error.context_mark or mark  # what is not closed begins there
        first = max(0, begun.line - 1) if begun else 0
        hint = full_width(text.splitlines()[first : mark.line + 1 if mark else None], first + 1)
        raise RecipeError(f"{where}{line}: not valid YAML: {error.problem or error.context}{hint}") from error
    except YAMLError as error:
        raise RecipeError(f"{where}: not valid YAML: {str(error).splitlines()[0]}") from error
    except RecursionError:
        raise RecipeError(f"{where}: nested too deep for a recipe") from None


_FULL_WIDTH = {"：": ": ", "，": ", ", "｛": "{", "｝": "}", "［": "[", "］": "]"}


def full_width(lines: Sequence[str], first: int = 1) -> str:
    """Point at the first sign of a Chinese keyboard that YAML takes for a letter; `first` is the number of the first line.

    It counts behind the key of a line, and between brackets; what stands in quotes and comments is text.
    """
    for number, line in enumerate(lines, first):
        bare = re.sub(r"\"[^\"]*\"|'[^']*'|(?:^|\s)#.*", "", line)
        found = re.match(r"\s*(?:- )?[\w.-]+(：)", bare)
        if found is None and re.search(r"[{\[｛［]", bare):
            found = re.search(f"([{''.join(_FULL_WIDTH)}])", bare)
        if found:
            return f"; line {number} has the full-width {found[1]!r}, write {_FULL_WIDTH[found[1]]!r}"
    return ""


class _Builder:
    """Makes plain values of YAML nodes; counts them, so that aliases cannot blow up."""

    def __init__(self, constructor: Any, where: str, lines: dict[Location, int]):
        self.constructor, self.where, self.lines = constructor, where, lines
        self.nodes = 0

    def value(self, node: Any, location: Location) -> Any:
        from ruamel.yaml.nodes import MappingNode, SequenceNode

        self.nodes += 1
        line = node.start_mark.line + 1
        if self.nodes > _MAX_NODES or len(location) > _MAX_DEPTH:
            raise RecipeError(f"{self.where}, line {line}: too deep or too large for a recipe (aliases count in full)")
        self.lines.setdefault(location, line)
        if isinstance(node, (SequenceNode, MappingNode)) and node.tag not in _CORE_TAGS:
            raise RecipeError(f"{self.where}, line {line}: the tag {node.tag!r} means nothing in a recipe; remove it")
        if isinstance(node, SequenceNode):
            return [self.value(item, (*location, index)) for index, item in enumerate(node.value)]
        if not isinstance(node, MappingNode):
            return self._scalar(node, line)
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value) if not isinstance(key_node.value, list) else "?"
            line = key_node.start_mark.line + 1
            if "：" in key and value_node.value in ("", None):
                raise RecipeError(f"{self.where}, line {line}: {key!r} has no value{full_width([key], line)}")
            if key == "<<":
                raise RecipeError(f"{self.where}, line {line}: YAML 1.2 has no merge key `<<`; write the keys out")
            if key in result:
                first = self.lines[(*location, key)]
                raise RecipeError(f"{self.where}, line {line}: the key {key!r} stands twice (first in line {first})")
            self.lines[(*location, key)] = line
            result[key] = self.value(value_node, (*location, key))
        return result

    def _scalar(self, node: Any, line: int) -> Any:
        try:
            value = self.constructor.construct_object(node)
        except ValueError as error:  # a tag such as !!int on what is none
            raise RecipeError(f"{self.where}, line {line}: {node.value!r} does not fit its tag: {error}") from None
        if value is None or isinstance(value, (str, bool, int, float)):
            return value
        return str(node.value)  # dates and the like stay as they are written
