"""Which schemes of tags a file uses: IOB1, BIO, BIOES, BMES or BILOU, or several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

Tag = tuple[str, str]
"""Prefix and type; two empty texts outside of any entity."""


def mixed_schemes(sentences: Iterable[Sequence[Tag]]) -> str | None:
    """Say in words why tags cannot all be of one scheme; None where they can."""
    seen: Counter[str] = Counter()
    for tags in sentences:
        for (before, kind_before), (prefix, kind), (after, kind_after) in zip(
            [("", ""), *tags], tags, [*tags[1:], ("", "")], strict=False
        ):
            if not prefix:
                continue
            seen[prefix] += 1
            alone_before = not before or kind_before != kind or before in "ESLUW"
            alone_after = not after or kind_after != kind or after in "BSUW"
            if alone_before and prefix == "I":
                seen["begins with I"] += 1
            if alone_before and prefix == "B" and not before:
                seen["begins with B"] += 1
            if alone_after and prefix in "BIM":
                seen[f"ends with {prefix}"] += 1
    ends = {"E and S": seen["E"] + seen["S"], "L and U": seen["L"] + seen["U"] + seen["W"]}
    open_ends = seen["ends with B"] + seen["ends with I"] + seen["ends with M"]
    if all(ends.values()):
        return f"{ends['E and S']} tags E or S (BIOES, BMES) and {ends['L and U']} tags L or U (BILOU)"
    if seen["M"] and seen["I"]:
        return f"{seen['M']} tags M (BMES) and {seen['I']} tags I"
    if sum(ends.values()) and open_ends:
        return (
            f"{sum(ends.values())} tags that end an entity (E, S, L or U), but {open_ends} entities without one (BIO)"
        )
    if seen["begins with I"] and seen["begins with B"]:
        return f"{seen['begins with B']} entities begin with B (BIO) and {seen['begins with I']} with I (IOB1)"
    return None
