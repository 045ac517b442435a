"""Edits of the cleaner `html`. Standard library only: this runs at predict time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import unescape
from typing import Any

from hft_core.runtime.edits import Edit

_INLINE = (
    "a|abbr|acronym|b|bdi|bdo|big|cite|code|data|del|dfn|em|font|i|ins|kbd|label|mark|q|rp|rt|ruby|s|samp|small|span|"
    "strike|strong|sub|sup|time|tt|u|var|wbr"
)
_SEPARATING = (
    "address|article|aside|audio|blockquote|body|br|button|canvas|caption|center|col|colgroup|dd|details|dialog|dir|div|dl|"
    "dt|embed|fieldset|figcaption|figure|footer|form|frame|frameset|h[1-6]|head|header|hgroup|hr|html|iframe|img|input|"
    "legend|li|link|main|map|meta|nav|noscript|object|ol|optgroup|option|p|param|picture|pre|script|section|select|source|"
    "style|summary|svg|table|tbody|td|template|textarea|tfoot|th|thead|title|tr|track|ul|video"
)
# An attribute has a value, or is one of the few that go without: `a <b and c> d` is no tag.
_BARE = "allowfullscreen|async|autoplay|checked|compact|controls|defer|disabled|hidden|loop|multiple|muted|noshade|nowrap|open|readonly|required|selected"  # fmt: skip  # noqa: E501
_ATTRIBUTES = rf"""(?:\s+(?:[a-z_:@][\w:.-]*\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'<>=`]+)|(?:{_BARE})(?=[\s/>])))*\s*"""
_MARKUP = re.compile(
    rf"(?P<comment><!--.*?-->)|<!doctype[^<>]*>"
    rf"|<(?P<block>script|style){_ATTRIBUTES}>.*?</(?P=block)\s*>"
    rf"|<(?:(?P<inline>{_INLINE})|{_SEPARATING}){_ATTRIBUTES}/?>"
    rf"|</(?:(?P<closing>{_INLINE})|{_SEPARATING})\s*>"
    r"|(?P<entity>&(?:\#\d{1,7}|\#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,31});)",
    re.IGNORECASE | re.DOTALL,
)


def edits(settings: dict[str, Any], texts: Sequence[str]) -> list[list[Edit]]:
    """Give the edits of each text; there are no settings."""
    return [_edits(text) if "<" in text or "&" in text else [] for text in texts]


def _edits(text: str) -> list[Edit]:
    result: list[Edit] = []
    for match in _MARKUP.finditer(text):
        if match["entity"]:
            replacement = unescape(match[0]).replace("\xa0", " ")
        else:
            replacement = "" if match["inline"] or match["closing"] or match["comment"] else " "
        if replacement != match[0]:  # an unknown entity
            result.append(Edit(match.start(), match.end(), replacement))
    return result
