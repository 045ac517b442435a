"""From a text and its repair to edits. Standard library only: used at predict time."""

from __future__ import annotations

from difflib import SequenceMatcher

from hft_core.runtime.edits import Edit


def smallest(start: int, before: str, after: str) -> list[Edit]:
    """Give small edits that turn `before`, which stands at `start` of a text, into `after`."""
    if len(before) == len(after):  # character by character, as nearly always with Chinese scripts
        blocks = _replaced(before, after)
    else:
        matcher = SequenceMatcher(None, before, after, autojunk=False)
        blocks = [codes[1:] for codes in matcher.get_opcodes() if codes[0] != "equal"]
    return [Edit(start + i, start + j, after[k:m]) for i, j, k, m in blocks]


def _replaced(before: str, after: str) -> list[tuple[int, int, int, int]]:
    """Give the stretches in which two texts of the same length differ."""
    blocks: list[tuple[int, int, int, int]] = []
    for place, (old, new) in enumerate(zip(before, after, strict=True)):
        if old != new:
            begin = blocks.pop()[0] if blocks and blocks[-1][1] == place else place
            blocks.append((begin, place + 1, begin, place + 1))
    return blocks
