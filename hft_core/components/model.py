"""Model: an architecture, and what turns raw fields into arrays."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from hft_core.components.base import Component
from hft_core.components.task import HeadSpec
from hft_core.runtime.ragged import Arrays, Ragged
from hft_core.store.hashing import digest_path

if TYPE_CHECKING:
    import torch

    from hft_core.components.net import Net


class Preprocessor(Protocol):
    """Turns raw fields into arrays: a tokenizer, an image processor. Free of torch, the same at predict time.

    These are what the engine calls. How raw fields become arrays is between a preprocessor and the tasks and
    objectives that use it; for texts that is `TextEncoder`. Its module has ``load(folder: Path, settings: dict)``, which
    restores it; the bundle names the module. One that is made of others gives each in its settings as ``{"module": …,
    "settings": …}``: there a bundle looks for modules to require, and to trust before anything is imported.
    """

    module: str
    """The importable module whose ``load`` restores it."""

    def settings(self) -> dict[str, Any]:
        """Give what `load` needs besides the files, as plain JSON."""
        ...

    def save(self, folder: Path) -> None:
        """Write the files (tokenizer.json, …) into `folder`."""
        ...

    def pad(self, arrays: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        """Make one padded batch of model inputs of the rows of `arrays`; other arrays pass unchanged."""
        ...


class TextEncoder(Preprocessor, Protocol):
    """A preprocessor of texts, as text tasks and language-modelling objectives use it."""

    vocabulary: int
    """Number of different token ids."""

    @property
    def targets(self) -> TextEncoder:
        """What turns texts that are to be written into tokens: itself, unless the model has another tokenizer for them."""
        ...

    def encode(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> Arrays:
        """Turn texts (and their second halves) into ragged model inputs, one entry per text."""
        ...

    def windows(self, texts: Sequence[str], overlap: int = 0, offsets: bool = False) -> Arrays:
        """Like `encode` without cutting: a long text gives several entries; ``row`` int64 says whose each is.

        Args:
            overlap: tokens that neighbouring windows share, at most half of what a window holds.
            offsets: give `offsets` too, a ragged int32 [tokens, 2]: the characters of each token, (0, 0) for a special one.
        """
        ...

    def pair_windows(
        self, firsts: Sequence[str], seconds: Sequence[str], overlap: int = 0, longest_first: int = 64
    ) -> Arrays:
        """Windows over the second text of each pair, every one behind its first text; ``row`` says whose each is.

        Args:
            overlap: tokens of the second text that neighbouring windows share, at most half of those in a window.
            longest_first: tokens that are kept of a first text, at most half of what a window holds.

        Gives `offsets` too, a ragged int32 [tokens, 2]: the characters of the second text, (0, 0) for other tokens. There
        is a special token behind the second text.
        """
        ...

    def encode_end(self, texts: Sequence[str], length: int) -> Arrays:
        """Like `encode`, but of a longer text the last `length` tokens: what a generated text goes on from."""
        ...

    def bare(self, texts: Sequence[str]) -> list[list[int]]:
        """Give all tokens of each text, none of them special, uncut: of texts that go on from others."""
        ...

    def decode(self, tokens: Ragged) -> list[str]:
        """Turn token ids back into texts, one per entry, without special tokens."""
        ...

    def tokens(self, arrays: Arrays) -> NDArray[np.int64]:
        """The different token ids that batches of these encoded rows hold, the padding token among them; sorted."""
        ...

    def unknown_rate(self, arrays: Arrays) -> float:
        """Share of pieces that the vocabulary lacks."""
        ...


@dataclass(frozen=True)
class Graph:
    """One exportable view of a net: a torch module over flat named tensors.

    A cache is pairs of an input ``past_key_values.X`` and an output ``present.X``, [batch, …, past, …], whose axis `past`
    may be 0 (the prefill); the output's is `total`, past and new together, as is that of an `attention_mask` beside them.
    An entry that one graph gives and another takes without giving it back stays as it is: what a decoder needs of a text that
    the encoder read.
    """

    name: str
    """The graph's name in the bundle, `model` where there is one."""
    module: torch.nn.Module
    """Takes `inputs` by position and returns a tuple of `outputs`."""
    inputs: Mapping[str, Sequence[str | int]]
    """Name of each input and its axes: a str names a symbolic one (`batch`, `sequence`, …), an int is fixed."""
    outputs: Mapping[str, Sequence[str | int]]
    """Name and axes of each output."""
    example: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """A sample of the inputs: batch ≥ 2, length ≥ 8, one row padded."""
    maximum: Mapping[str, int] = field(default_factory=dict)
    """The largest value of a symbolic axis, such as the positions of the model."""


class Model(Component):
    """Base of models."""

    kind: ClassVar[str] = "model"
    located: ClassVar[frozenset[str]] = frozenset()
    """Fields of which `locate` says, in better words than the general check of files, what is missing."""
    heads: ClassVar[frozenset[str] | None] = None
    """Names of the stock heads that it builds, and `factory` if it takes those that tasks make themselves; None, the
    default: it is asked when the net is built."""
    brings: ClassVar[frozenset[str]] = frozenset()
    """Those of them that weights usually bring along, such as a decoder's `causal-lm`: a task with such a head is measured
    before training, too."""

    def identity(self) -> dict[str, Any]:
        """Its settings, and the content of what it starts from, wherever that lies."""
        start = self.locate()
        return super().identity() | {"start": digest_path(start) if start else None}

    def locate(self) -> Path | None:
        """Give the folder of weights and preprocessor to start from, None for a fresh model.

        Fetches nothing but what the recipe names. Raises PluginError where it is missing or unsafe.
        """
        return None

    def earlier_run(self) -> Path | None:
        """Give the folder of the earlier run that it starts from; None where it starts from anything else.

        The tasks that both recipes have by the same name then keep their heads, whichever stages train them.
        """
        return None

    def describe(self) -> str:
        """Say in a few words what it is and what it starts from, for reports."""
        return self.type_name()

    def hub_name(self) -> str | None:
        """The name on the hub of what it starts from, for the model card; None for anything else."""
        return None

    def unexportable(self, start: Path | None) -> str | None:
        """Say why `graphs` would refuse its net, as far as settings and `start` tell; None: nothing speaks against it.

        Asked before anything is trained, so it must be quick.
        """
        return None

    @abstractmethod
    def preprocessor(self, start: Path | None, texts: Iterable[str]) -> Preprocessor:
        """Load the preprocessor of `start`, or make a new one from cleaned training `texts`.

        Only a model for which `learns_preprocessor` is true reads `texts`, as often as it likes. The same texts must give
        the same preprocessor.
        """

    def learns_preprocessor(self) -> bool:
        """Whether `preprocessor` is trained on the recipe's texts."""
        return False

    @abstractmethod
    def build(self, start: Path | None, preprocessor: Preprocessor, heads: Mapping[str, HeadSpec]) -> Net:
        """Build the net with one backbone and the named heads, with the weights of `start` where it has them."""

    @abstractmethod
    def graphs(self, net: Net, head: str) -> list[Graph]:
        """Give the graphs to export for one head of the net, which the caller owns: it may be changed for tracing."""
