"""The models `bert` (any encoder of transformers' Auto classes) and `gpt` (any decoder)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from hft_core import Graph, HeadSpec, Model, PluginError, Preprocessor, Settings, resolve_path
from hft_core.runtime.text import TextPreprocessor
from hft_plugins.transformers import source as sources

if TYPE_CHECKING:
    from hft_plugins.transformers.net import TransformersNet


class TokenizerSettings(Settings):
    """A new tokenizer, trained on the recipe's cleaned training texts."""

    type: Literal["wordpiece", "bpe"]
    """`wordpiece` (BERT's, Chinese characters one by one) or `bpe` (GPT-2's, over bytes: nothing is unknown)."""
    size: int = Field(default=8000, ge=100)
    """Number of tokens at most."""


class Scratch(Settings):
    """A freshly initialised model."""

    scratch: Literal["tiny", "mini", "small", "base"]
    """Layers / width / heads: tiny 2/128/2, mini 4/256/4, small 4/512/8, base 12/768/12."""
    tokenizer: TokenizerSettings | Path
    """A tokenizer to train, or a folder or file to take one from."""


class TransformersModel(Model):
    """What encoders and decoders share."""

    source: Scratch | Path | str
    """A hub name (`bert-base-chinese`), a folder, an earlier run's folder (a task of the same name and labels trains on
    with its head), `package:NAME` (an installed package that carries a model), or `{scratch: SIZE, tokenizer: …}`."""
    revision: str = "main"
    """Revision of a hub model: branch, tag or commit."""
    max_length: int | None = Field(default=None, ge=8)
    """Longest input in tokens; default: what the model can take, at most 512. Longer texts are cut."""

    located: ClassVar[frozenset[str]] = frozenset({"source"})
    family: ClassVar[Literal["bert", "gpt"]]
    heads: ClassVar[frozenset[str]]
    """The heads that make sense on such a model."""

    @field_validator("source", mode="before")
    @classmethod
    def _folder_or_name(cls, value: Any, info: ValidationInfo) -> Any:
        """A string that names an existing folder, or is written like a path, is a path; others are names."""
        if not isinstance(value, str) or value.startswith("package:"):
            return value
        path = resolve_path(value, (info.context or {}).get("folder"))
        return path if path.exists() or value.startswith((".", "/", "~", "$")) else value

    @field_validator("source", mode="after")
    @classmethod
    def _keep_names(cls, value: Any) -> Any:
        return value if isinstance(value, Scratch) or not isinstance(value, Path) or value.is_absolute() else str(value)

    def identity(self) -> dict[str, Any]:
        """The source counts by content, which `start` stands for."""
        settings = super().identity()
        return settings if isinstance(self.source, Scratch) else settings | {"source": None, "revision": None}

    def locate(self) -> Path | None:
        """Give the local folder of the source, fetching it from the hub if it is a hub name."""
        return None if isinstance(self.source, Scratch) else sources.locate(self.source, self.revision)

    def describe(self) -> str:
        """Type and source."""
        if isinstance(self.source, Scratch):
            return f"{self.type_name()}, {self.source.scratch} size, from scratch"
        source = self.source.name if isinstance(self.source, Path) else self.source
        return f"{self.type_name()} from {source}"

    def hub_name(self) -> str | None:
        """The source, if it is a name and no package."""
        is_name = isinstance(self.source, str) and not self.source.startswith("package:")
        return str(self.source) if is_name else None

    def learns_preprocessor(self) -> bool:
        """Only a new tokenizer is trained."""
        return isinstance(self.source, Scratch) and isinstance(self.source.tokenizer, TokenizerSettings)

    def preprocessor(self, start: Path | None, texts: Iterable[str]) -> TextPreprocessor:
        """Load the tokenizer of `start`, or train or take the one that the scratch model names."""
        from hft_plugins.transformers import tokenizer

        if start is not None:
            return tokenizer.from_folder(start, self.max_length)
        assert isinstance(self.source, Scratch)  # otherwise locate() gives a folder
        wanted = self.source.tokenizer
        trained = (
            tokenizer.from_file(wanted)
            if isinstance(wanted, Path)
            else tokenizer.train(wanted.type, wanted.size, texts)
        )
        return tokenizer.for_scratch(trained, self.family, self.max_length)

    def build(self, start: Path | None, preprocessor: Preprocessor, heads: Mapping[str, HeadSpec]) -> TransformersNet:
        """Build the net from `start`, or a fresh one of the named size. Raises PluginError for a head that does not fit."""
        if unfit := sorted({spec.name for spec in heads.values() if spec.factory is None} - self.heads):
            raise PluginError(
                f"model: {self.type_name()} has the heads {', '.join(sorted(self.heads))}, found {unfit[0]!r}. The "
                "objective masked-lm fits the model `bert`, whose tokens see both sides; causal-lm fits `gpt`, whose "
                "tokens see only what precedes them"
            )
        from hft_plugins.transformers import build

        assert isinstance(preprocessor, TextPreprocessor)
        if start is not None:
            return build.from_folder(start, preprocessor, heads)
        assert isinstance(self.source, Scratch)
        return build.from_scratch(self.family, self.source.scratch, preprocessor, heads)

    def graphs(self, net: Any, head: str) -> list[Graph]:
        """One graph: token ids to the head's outputs, and for next tokens with a cache."""
        from hft_plugins.transformers.graphs import graph

        return [graph(net, head)]


class Bert(TransformersModel):
    """An encoder: BERT, RoBERTa, DistilBERT, ELECTRA, ALBERT, MPNet, DeBERTa, ModernBERT, …"""

    type: Literal["bert"]

    family: ClassVar[Literal["bert", "gpt"]] = "bert"
    heads: ClassVar[frozenset[str]] = frozenset({"sequence-classification", "token-classification", "masked-lm"})


class Gpt(TransformersModel):
    """A decoder: GPT-2, LLaMA, Qwen, …"""

    type: Literal["gpt"]

    family: ClassVar[Literal["bert", "gpt"]] = "gpt"
    heads: ClassVar[frozenset[str]] = frozenset({"sequence-classification", "token-classification", "causal-lm"})
