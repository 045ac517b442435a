"""The model `bag`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from hft_bag.preprocess import HashedGrams
from hft_core import Graph, HeadSpec, Model, Preprocessor


class Bag(Model):
    """The mean of a text's n-gram vectors, and a linear layer (as in fastText, Joulin et al. 2017); always from scratch."""

    type: Literal["bag"]
    buckets: int = Field(default=2048, ge=16)
    """Vectors in the table; n-grams that share one are not told apart."""
    width: int = Field(default=32, ge=1)
    """Numbers in a vector."""
    longest: int = Field(default=2, ge=1, le=8)
    """Characters of the longest n-gram."""
    max_length: int = Field(default=512, ge=1)
    """N-grams of a text; the rest is cut."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of activations that training drops."""

    def preprocessor(self, start: Path | None, texts: Iterable[str]) -> HashedGrams:
        """Make the preprocessor, which learns nothing."""
        return HashedGrams(self.buckets, self.longest, self.max_length)

    def build(self, start: Path | None, preprocessor: Preprocessor, heads: Mapping[str, HeadSpec]) -> Any:
        """Build the net, with the weights of `start` where it has them. Raises PluginError for an unknown head."""
        from hft_bag.net import build

        return build(start, self.buckets, self.width, self.dropout, heads)

    def graphs(self, net: Any, head: str) -> list[Graph]:
        """One graph: n-grams to logits."""
        from hft_bag.net import graph

        return [graph(net, head)]
