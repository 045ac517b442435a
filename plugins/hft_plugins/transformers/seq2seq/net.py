"""The net of transformers' encoder-decoders: one model, whose output layer serves all its heads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers.cache_utils import DynamicCache, EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput

from hft_core import Net, Part
from hft_core.runtime.cache import PAST
from hft_plugins.transformers import cache as cached
from hft_plugins.transformers.net import quiet, stack_of

ENCODER, DECODER = "encoder", "decoder"
"""The graphs."""
OF_ENCODER, OF_DECODER = "encoder.", "decoder."
"""The two halves of a cache: keys and values of the text that is read, and of the one that is written."""


def _both(own: Any, read: Any) -> EncoderDecoderCache:
    """Put the halves together; the library would ask whether the second is empty, which tracing would settle for good."""
    both = EncoderDecoderCache(own, DynamicCache())
    both.cross_attention_cache = read
    both.is_updated = dict.fromkeys(range(len(read)), True)
    return both


class Seq2SeqNet(Net):
    """Each head is the model's distribution over the vocabulary, under a name of its own.

    `positions` (int64, flat over batch × target) asks for these tokens of the target only.
    """

    def __init__(self, model: Any, heads: Sequence[str], new_heads: frozenset[str]):
        super().__init__()
        self.model = model
        self.heads = tuple(heads)
        self.new_heads = new_heads
        self._positions: torch.Tensor | None = None
        model.get_decoder().register_forward_hook(self._keep_positions)

    def forward(self, head: str, **arrays: torch.Tensor) -> dict[str, torch.Tensor]:
        """Run both stacks: input_ids, attention_mask and decoder_input_ids to `logits` [rows, target, vocabulary]."""
        self._positions = arrays.pop("positions", None)
        try:
            return {"logits": self.model(**arrays, use_cache=False).logits}
        finally:
            self._positions = None

    def run(self, head: str, graph: str, **arrays: torch.Tensor) -> dict[str, torch.Tensor]:
        """Run one stack; both have a cache.

        `encoder` gives what the decoder's layers need of the text that is read, their keys and values, computed once.
        `decoder` takes these, and takes and gives the keys and values of what is written.
        """
        mask = arrays["attention_mask"]
        if graph == ENCODER:
            return self._read(arrays["input_ids"], mask)
        past = {name: array for name, array in arrays.items() if name.startswith(PAST)}
        own = cached.filled(past, OF_DECODER)
        output = self.model(
            # Its keys and values are there; of the states themselves only the shape is looked at.
            encoder_outputs=BaseModelOutput(mask[..., None].expand(-1, -1, self.model.config.hidden_size).float()),
            attention_mask=mask,
            decoder_input_ids=arrays["decoder_input_ids"],
            past_key_values=_both(own, cached.filled(past, OF_ENCODER)),
            use_cache=True,
        )
        return {"logits": output.logits} | cached.presents(own, OF_DECODER)

    def _read(self, ids: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        """Encode, and let the decoder's layers fill their half of the cache, for which any token will do."""
        hidden = self.model.get_encoder()(input_ids=ids, attention_mask=mask).last_hidden_state
        read = DynamicCache()
        self.model.get_decoder()(
            input_ids=ids[:, :1],
            encoder_hidden_states=hidden,
            encoder_attention_mask=mask,
            past_key_values=EncoderDecoderCache(DynamicCache(), read),
            use_cache=True,
        )
        return cached.presents(read, OF_ENCODER)

    def _keep_positions(self, module: Any, args: Any, output: Any) -> Any:
        if self._positions is not None:
            output.last_hidden_state = output.last_hidden_state.flatten(0, 1)[self._positions][None]
        return output

    def models(self) -> list[Any]:
        """The library's model in it."""
        return [self.model]

    def embedding(self) -> torch.nn.Module:
        """The token embeddings, which both stacks share."""
        layer: torch.nn.Module = self.model.get_input_embeddings()
        return layer

    def parts(self) -> list[Part]:
        """Embeddings, the encoder's and then the decoder's layers, what stands behind these, and the output layer."""
        encoder, decoder = self.model.get_encoder(), self.model.get_decoder()
        embeddings = torch.nn.ModuleList([self.embedding()])
        layers: list[tuple[str, torch.nn.Module]] = []
        for name, whole in ((ENCODER, encoder), (DECODER, decoder)):
            before, stack, behind = stack_of(whole)
            embeddings.extend(before)
            layers += [(f"{name}.{index}", layer) for index, layer in enumerate(stack)]
            if list(behind.parameters()):
                layers.append((f"{name}.final", behind))
        count = len(layers) + 1
        result = [Part("embeddings", 0.0, "embeddings", embeddings)]
        result += [Part(name, (at + 1) / count, "layer", layer) for at, (name, layer) in enumerate(layers)]
        return [*result, Part("head", 1.0, "head", self.model.get_output_embeddings())]

    def save(self, folder: Path) -> None:
        """Write a plain transformers folder."""
        with quiet():
            self.model.save_pretrained(folder)
