"""The live T5."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import T5Config, T5ForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput

from hft_core import Net, Part
from hft_core.runtime.text import TextPreprocessor


class T5Net(Net):
    """One T5; each of its heads is its distribution over the vocabulary."""

    def __init__(self, model: T5ForConditionalGeneration, heads: Sequence[str]):
        super().__init__()
        self.model = model
        self.heads = tuple(heads)

    def forward(self, head: str, **arrays: torch.Tensor) -> dict[str, torch.Tensor]:
        """Run both stacks: `logits` float [rows, target, vocabulary]."""
        return {"logits": self.model(**arrays, use_cache=False).logits}

    def run(self, head: str, graph: str, **arrays: torch.Tensor) -> dict[str, torch.Tensor]:
        """Run one stack: `encoder` gives `hidden` [rows, sequence, width], `decoder` takes it and gives `logits`."""
        if graph == "encoder":
            return {"hidden": self.encode(arrays["input_ids"], arrays["attention_mask"])}
        return {"logits": self.decode(arrays["decoder_input_ids"], arrays["hidden"], arrays["attention_mask"])}

    def encode(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Give the encoder's last states."""
        states: torch.Tensor = self.model.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        return states

    def decode(self, ids: torch.Tensor, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Give the logits of each position's next token."""
        encoded = BaseModelOutput(last_hidden_state=hidden)
        logits: torch.Tensor = self.model(
            encoder_outputs=encoded, attention_mask=mask, decoder_input_ids=ids, use_cache=False
        ).logits
        return logits

    def parts(self) -> list[Part]:
        """The shared embeddings, the encoder's and then the decoder's layers, and the output layer."""
        encoder, decoder = self.model.encoder, self.model.decoder
        stacks = [*(("encoder", block) for block in encoder.block), *(("decoder", block) for block in decoder.block)]
        depth = len(stacks) + 1
        parts = [Part("embeddings", 0.0, "embeddings", self.model.shared)]
        for index, (stack, block) in enumerate(stacks):
            parts.append(Part(f"{stack}.{index}", (index + 1) / depth, "layer", block))
        norms = torch.nn.ModuleList([encoder.final_layer_norm, decoder.final_layer_norm])
        return [
            *parts,
            Part("norms", len(stacks) / depth, "layer", norms),
            Part("head", 1.0, "head", self.model.lm_head),
        ]

    def save(self, folder: Path) -> None:
        """Write a plain transformers folder."""
        self.model.save_pretrained(folder)


def fresh(width: int, layers: int, dropout: float, preprocessor: TextPreprocessor, heads: Sequence[str]) -> T5Net:
    """Initialise a T5 with two attention heads."""
    config = T5Config(
        vocab_size=preprocessor.vocabulary,
        d_model=width,
        d_kv=width // 2,
        d_ff=2 * width,
        num_layers=layers,
        num_heads=2,
        dropout_rate=dropout,
        pad_token_id=preprocessor.pad_id,
        eos_token_id=preprocessor.special["eos"],
    )
    model = T5ForConditionalGeneration(config)
    assert model.generation_config is not None  # every model that generates has one
    model.generation_config.decoder_start_token_id = preprocessor.pad_id
    return T5Net(model, heads)


def from_folder(folder: Path, heads: Sequence[str]) -> T5Net:
    """Load a T5 in fp32."""
    return T5Net(T5ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32), heads)
