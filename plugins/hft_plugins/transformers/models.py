"""The models `bert` (any encoder of transformers' Auto classes), `gpt` (any decoder) and `t5` (any encoder-decoder)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from hft_core import Graph, HeadSpec, Model, PluginError, Preprocessor, resolve_path
from hft_core.runtime.text import TextPreprocessor
from hft_plugins.transformers import source as sources
from hft_plugins.transformers.scratch import ARCHITECTURES, ExtendVocabulary, Scratch, TokenizerSettings
from hft_plugins.transformers.untraceable import untraceable

if TYPE_CHECKING:
    from hft_core import Net


class TransformersModel(Model):
    """What encoders and decoders share."""

    source: Scratch | Path | str
    """A hub name (`bert-base-chinese`), a folder, an earlier run's folder (tasks of the same name keep their heads, trained
    further or not), `package:NAME` (an installed package that carries a model), or `{scratch: SIZE, tokenizer: …}`. A head
    whose labels changed keeps the weights of those that stay, by name; where none stays, it is new."""
    revision: str = "main"
    """Revision of a hub model: branch, tag or commit."""
    max_length: int | None = Field(default=None, ge=8)
    """Longest input in tokens; default: what the model can take, at most 512. Longer texts are cut."""
    extend_vocabulary: ExtendVocabulary | None = None
    """`{size: 500}`: new tokens for words that are frequent in the training texts and that the tokenizer of the source cuts
    up, or does not know; in scripts without spaces, such as Chinese, for characters. A new token starts as the mean of its
    old pieces. The model should then be pre-trained further."""

    located: ClassVar[frozenset[str]] = frozenset({"source"})
    family: ClassVar[Literal["bert", "gpt", "t5"]]
    heads: ClassVar[frozenset[str]]
    """The stock heads that make sense on such a model, and `factory` if a task may bring one of its own."""

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

    @model_validator(mode="after")
    def _architecture_fits(self) -> Self:
        possible = ARCHITECTURES[self.family]
        if isinstance(self.source, Scratch) and self.source.architecture not in (None, *possible):
            raise ValueError(
                f"`architecture: {self.source.architecture}` is none of the model `{self.type_name()}`, which can be made "
                f"as {' or '.join(possible)}"
            )
        if isinstance(self.source, Scratch) and self.extend_vocabulary is not None:
            raise ValueError(
                "`extend_vocabulary` is for the tokenizer that a source brings; that of a scratch model is new: raise its "
                "`size:` instead"
            )
        return self

    def identity(self) -> dict[str, Any]:
        """The source counts by content, which `start` stands for."""
        settings = super().identity()
        return settings if isinstance(self.source, Scratch) else settings | {"source": None, "revision": None}

    def locate(self) -> Path | None:
        """Give the local folder of the source, fetching it from the hub if it is a hub name."""
        if not isinstance(self.source, Scratch):
            return sources.locate(self.source, self.revision)
        if self.source.config:
            self._config()  # refuses what is wrong with it, long before it is needed
        return None

    def _config(self, preprocessor: TextPreprocessor | None = None) -> Any:
        """The configuration of a scratch model."""
        from hft_plugins.transformers.sizes import config_of

        assert isinstance(self.source, Scratch)
        architecture = self.source.architecture or ARCHITECTURES[self.family][0]
        return config_of(architecture, self.source.scratch, self.source.config, preprocessor)

    def earlier_run(self) -> Path | None:
        """The source, if it is the folder of a run."""
        return self.source if isinstance(self.source, Path) and (self.source / "run.json").is_file() else None

    def describe(self) -> str:
        """Type and source."""
        if isinstance(self.source, Scratch):
            made = self.source.architecture or self.type_name()
            changed = ", changed" if self.source.config else ""
            return f"{made}, {self.source.scratch} size{changed}, from scratch"
        source = self.source.name if isinstance(self.source, Path) else self.source
        return f"{self.type_name()} from {source}"

    def hub_name(self) -> str | None:
        """The source, if it is a name and no package."""
        is_name = isinstance(self.source, str) and not self.source.startswith("package:")
        return str(self.source) if is_name else None

    def unexportable(self, start: Path | None) -> str | None:
        """Some architectures cannot be traced; those that are made anew all can."""
        return untraceable(sources.architecture(start)) if start else None

    def learns_preprocessor(self) -> bool:
        """Only a new tokenizer is trained, or one that gets new tokens."""
        if self.extend_vocabulary is not None:
            return True
        return isinstance(self.source, Scratch) and isinstance(self.source.tokenizer, TokenizerSettings)

    def preprocessor(self, start: Path | None, texts: Iterable[str]) -> TextPreprocessor:
        """Load the tokenizer of `start`, or train or take the one that the scratch model names."""
        from hft_plugins.transformers import tokenizer

        if start is not None:
            loaded = tokenizer.from_folder(start, self.max_length)
            return loaded if self.extend_vocabulary is None else self._extended(loaded, texts)
        assert isinstance(self.source, Scratch)  # otherwise locate() gives a folder
        wanted = self.source.tokenizer
        trained = (
            tokenizer.from_file(wanted)
            if isinstance(wanted, Path)
            else tokenizer.train(wanted.type, wanted.size, texts, self.family)
        )
        from hft_plugins.transformers.sizes import longest

        return tokenizer.for_scratch(trained, self.family, self.max_length, longest(self._config()))

    def _extended(self, old: TextPreprocessor, texts: Iterable[str]) -> TextPreprocessor:
        """Give the preprocessor of the source with new tokens."""
        from hft_plugins.transformers.tokenizer.extend import add, new_words

        assert self.extend_vocabulary is not None
        wanted = self.extend_vocabulary
        if old.targets is not old:
            raise PluginError(
                "model: `extend_vocabulary` is for one tokenizer, and this model has two, one for what it reads and one for "
                "what it writes; leave it out"
            )
        words = new_words(old.tokenizer, old.special.get("unk"), texts, wanted.size, wanted.minimum)
        add(old.tokenizer, words)
        return TextPreprocessor(old.tokenizer, old.settings())

    def build(self, start: Path | None, preprocessor: Preprocessor, heads: Mapping[str, HeadSpec]) -> Net:
        """Build the net from `start`, or a fresh one. Raises PluginError for a head that does not fit."""
        fits = {spec.name for spec in heads.values() if spec.factory is not None and "factory" in self.heads}
        if unfit := sorted({spec.name for spec in heads.values()} - self.heads - fits):
            raise PluginError(
                f"model: {self.type_name()} has the heads {', '.join(sorted(self.heads))}, found {unfit[0]!r}. The "
                "objective masked-lm fits the model `bert`, whose tokens see both sides; causal-lm fits `gpt`, whose "
                "tokens see only what precedes them; span-corruption fits `t5`, which reads one text and writes another"
            )
        assert isinstance(preprocessor, TextPreprocessor)
        net = self._built(start, preprocessor, heads)
        if start is not None and self.extend_vocabulary is not None:
            self._extend(net, start, preprocessor)
        return net

    def _extend(self, net: Any, start: Path, preprocessor: TextPreprocessor) -> None:
        """Give the tokens that the tokenizer has more than the weights their rows; none where a stage before did."""
        from hft_plugins.transformers import tokenizer
        from hft_plugins.transformers.vocabulary import extend

        old = tokenizer.from_folder(start, None)
        extend(net.models(), old.tokenizer, preprocessor.tokenizer, old.special.get("unk"))

    def _built(self, start: Path | None, preprocessor: TextPreprocessor, heads: Mapping[str, HeadSpec]) -> Net:
        from hft_plugins.transformers import build

        if start is not None:
            build.require_family(start, self.family)
            return build.from_folder(start, preprocessor, heads)
        return build.from_scratch(self._config(preprocessor), preprocessor, heads)

    def graphs(self, net: Any, head: str) -> list[Graph]:
        """One graph: token ids to the head's outputs, and for next tokens with a cache."""
        from hft_plugins.transformers.graphs import graph

        return [graph(net, head)]


class Bert(TransformersModel):
    """An encoder: BERT, RoBERTa, DistilBERT, ELECTRA, ALBERT, MPNet, DeBERTa, ModernBERT, …"""

    type: Literal["bert"]

    family: ClassVar[Literal["bert", "gpt", "t5"]] = "bert"
    heads: ClassVar[frozenset[str]] = frozenset(
        {"sequence-classification", "token-classification", "question-answering", "masked-lm", "factory"}
    )


class Gpt(TransformersModel):
    """A decoder: GPT-2, LLaMA, Qwen, …"""

    type: Literal["gpt"]

    family: ClassVar[Literal["bert", "gpt", "t5"]] = "gpt"
    heads: ClassVar[frozenset[str]] = frozenset(
        {"sequence-classification", "token-classification", "question-answering", "causal-lm", "factory"}
    )
    brings: ClassVar[frozenset[str]] = frozenset({"causal-lm"})


class T5(TransformersModel):
    """An encoder-decoder: T5, mT5, BART, Marian, …"""

    type: Literal["t5"]

    family: ClassVar[Literal["bert", "gpt", "t5"]] = "t5"
    heads: ClassVar[frozenset[str]] = frozenset({"seq2seq-lm"})
    brings: ClassVar[frozenset[str]] = frozenset({"seq2seq-lm"})

    def _built(self, start: Path | None, preprocessor: TextPreprocessor, heads: Mapping[str, HeadSpec]) -> Net:
        from hft_plugins.transformers.seq2seq import build

        if start is not None:
            return build.from_folder(start, preprocessor, heads)
        return build.from_scratch(self._config(preprocessor), preprocessor, heads)

    def graphs(self, net: Any, head: str) -> list[Graph]:
        """Two graphs: `encoder`, and `decoder` with a cache."""
        from hft_plugins.transformers.seq2seq.graphs import graphs

        return graphs(net, head)
