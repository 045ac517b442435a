"""The model `tiny-t5`: T5 of a size that fits a test."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from hft_core import Graph, HeadSpec, Model, PluginError, Preprocessor
from hft_core.runtime.text import TextPreprocessor

PAD, END = "<pad>", "</s>"


class TinyT5(Model):
    """An encoder-decoder: T5 (Raffel et al. 2020), its tokenizer a byte-level BPE, to which nothing is unknown."""

    type: Literal["tiny-t5"]
    source: Path | None = None
    """A folder with a T5 and its tokenizer, or an earlier run's; default: a fresh one of the sizes below."""
    width: int = Field(default=32, ge=8, multiple_of=2)
    """Width of the hidden states."""
    layers: int = Field(default=2, ge=1)
    """Layers of the encoder, and as many of the decoder."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of activations that training drops."""
    vocabulary: int = Field(default=400, ge=300)
    """Number of tokens at most."""
    max_length: int = Field(default=64, ge=8)
    """Longest input in tokens; longer texts are cut."""

    located: ClassVar[frozenset[str]] = frozenset({"source"})

    def locate(self) -> Path | None:
        """Give the folder of weights and tokenizer."""
        if self.source is None:
            return None
        folder = self.source / "model" if (self.source / "run.json").is_file() else self.source
        if not (folder / "config.json").is_file():
            raise PluginError(f"model: {folder} has no config.json, so it is no T5; set `source:` to a saved one")
        return folder

    def learns_preprocessor(self) -> bool:
        """A fresh model comes with a fresh tokenizer."""
        return self.source is None

    def preprocessor(self, start: Path | None, texts: Iterable[str]) -> TextPreprocessor:
        """Load the tokenizer of `start`, or train one on `texts`."""
        tokenizer = _trained(texts, self.vocabulary) if start is None else _from_folder(start)
        pad, end = tokenizer.token_to_id(PAD), tokenizer.token_to_id(END)
        return TextPreprocessor(
            tokenizer,
            {
                "max_length": self.max_length,
                "pad_id": pad,
                "padding_side": "right",
                "inputs": ["input_ids", "attention_mask"],
                "special": {"pad": pad, "eos": end},
            },
        )

    def build(self, start: Path | None, preprocessor: Preprocessor, heads: Mapping[str, HeadSpec]) -> Any:
        """Build the net. Raises PluginError for another head than its own."""
        if unfit := sorted({spec.name for spec in heads.values()} - {"seq2seq-lm"}):
            raise PluginError(f"model: tiny-t5 has the head seq2seq-lm only, found {unfit[0]!r}")
        from hft_seq2seq import net

        assert isinstance(preprocessor, TextPreprocessor)
        if start is not None:
            return net.from_folder(start, list(heads))
        return net.fresh(self.width, self.layers, self.dropout, preprocessor, list(heads))

    def graphs(self, net: Any, head: str) -> list[Graph]:
        """Two graphs: `encoder` once a text, `decoder` once a token."""
        from hft_seq2seq.graphs import decoder_graph, encoder_graph

        return [encoder_graph(net), decoder_graph(net)]


def _from_folder(folder: Path) -> Tokenizer:
    file = folder / "tokenizer.json"
    if not file.is_file():
        raise PluginError(f"model: {folder} has no tokenizer.json; copy the tokenizer of these weights into it")
    return Tokenizer.from_file(str(file))


def _trained(texts: Iterable[str], size: int) -> Tokenizer:
    """Train a byte-level BPE whose texts end with the end token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[PAD, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer=trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {END}", special_tokens=[(END, tokenizer.token_to_id(END))]
    )
    return tokenizer
