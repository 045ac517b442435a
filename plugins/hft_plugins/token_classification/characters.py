"""Which characters words are made of. The standard library only."""

from __future__ import annotations

import re
import unicodedata

# Han, kana, Thai, Lao, Burmese, Khmer; Hangul too: Korean has spaces, but a name and its particle stand together.
OWN_TAGS = (
    "\u0e00-\u0eff\u1000-\u11ff\u1780-\u17ff\u3005-\u3007\u3040-\u318f\u31f0-\u31ff\u3400-\u9fff\ua960-\ua97f"
    "\uac00-\ud7ff\uf900-\ufaff\uff66-\uffdc\U0001b000-\U0001b16f\U00020000-\U0003ffff"
)
"""Characters of scripts that set no spaces between words, as for a class of a pattern; each is a word of its own."""
_OWN_TAGS = re.compile(f"[{OWN_TAGS}]")
_JOINERS = "\u200c\u200d"  # within words of Persian and Indic scripts


def is_of_word(character: str) -> bool:
    """Whether words are runs of such characters."""
    if _OWN_TAGS.match(character):
        return False
    return character.isalnum() or character in _JOINERS or unicodedata.category(character).startswith("M")
