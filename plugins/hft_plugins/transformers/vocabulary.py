"""Rows for the tokens that a tokenizer has more than the weights that a model starts from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from tokenizers import Tokenizer

from hft_plugins.transformers.tokenizer.extend import pieces


def extend(models: Sequence[Any], old: Tokenizer, new: Tokenizer, unknown: int | None) -> None:
    """Give each new token a row of the input embedding and of every output layer: the mean of its old pieces' rows.

    A token of which nothing is known starts as the mean of all old rows. The old tokens' rows stay as they are, and what
    is tied stays tied.

    Args:
        models: of the library, all with one input embedding: the backbone, and those with an output layer.
        old: the tokenizer that the weights belong to.
        new: the same with more tokens.
        unknown: the old tokenizer's id for what it does not know.
    """
    sources = _sources(old, new, unknown)
    if not sources:
        return
    size = max(models[0].config.vocab_size, max(sources) + 1)
    done: dict[int, torch.nn.Parameter] = {}
    for model in models:
        for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
            for tensor in () if layer is None else (layer.weight, getattr(layer, "bias", None)):
                if tensor is not None and id(tensor) not in done:
                    longer = torch.nn.Parameter(_longer(tensor.detach(), size, sources))
                    done[id(longer)] = longer  # it is met again where it is tied
                    for other in models:
                        _replace(other, tensor, longer)
        _resize(model, size, sources)


def _sources(old: Tokenizer, new: Tokenizer, unknown: int | None) -> dict[int, list[int]]:
    """Of each new token, the old ones whose mean it starts as."""
    known = old.get_vocab(with_added_tokens=True)
    added = {id: token for token, id in new.get_vocab(with_added_tokens=True).items() if token not in known}
    everything = sorted(known.values())
    found = pieces(old, list(added.values()))
    return {
        id: [piece for piece in own if piece != unknown] or everything for id, own in zip(added, found, strict=True)
    }


def _longer(rows: torch.Tensor, size: int, sources: Mapping[int, Sequence[int]]) -> torch.Tensor:
    """Give `rows` [old size, …] with `size` rows, of which those of new tokens are means of old ones."""
    longer = torch.zeros((max(size, len(rows)), *rows.shape[1:]), dtype=rows.dtype)
    longer[: len(rows)] = rows
    for id, own in sources.items():
        longer[id] = rows[own].mean(0)
    return longer


def _replace(model: Any, old: torch.Tensor, new: torch.nn.Parameter) -> None:
    """Put a parameter wherever the model has the old one."""
    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is old:
                module._parameters[name] = new


def _resize(model: Any, size: int, sources: Mapping[int, Sequence[int]]) -> None:
    """Let layers and configuration know their new size; BART's and Marian's bias over the vocabulary is a buffer."""
    model.config.vocab_size = size
    model.get_input_embeddings().num_embeddings = size
    if (output := model.get_output_embeddings()) is not None:
        output.out_features = size
    bias = getattr(model, "final_logits_bias", None)
    if bias is not None and bias.shape[1] < size:
        model.final_logits_bias = _longer(bias.T, size, sources).T.contiguous()
