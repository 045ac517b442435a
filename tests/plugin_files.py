"""A plugin in one file, as users write it."""

from __future__ import annotations

SHOUT = '''
from typing import Literal
from hft_core import Augmenter, Edit, hookimpl

class Shout(Augmenter):
    """Upper-case every text."""
    type: Literal["shout"]

    def edits(self, texts, spans, random):
        return [[Edit(0, len(text), text.upper())] for text in texts]

@hookimpl
def register_augmenters():
    return [Shout]
'''
