"""What masked and causal language modelling share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, cast

import numpy as np

from hft_core import Arrays, Columns, Loss, PluginError, Preprocessor, Stream, TextEncoder

if TYPE_CHECKING:
    import torch


def text_encoder(preprocessor: Preprocessor) -> TextEncoder:
    """Give the preprocessor if it is one of texts. Raises PluginError where it is another, such as one of images alone."""
    if not hasattr(preprocessor, "windows") or not hasattr(preprocessor, "vocabulary"):
        raise PluginError(
            f"language modelling: the model's preprocessor ({type(preprocessor).__name__}) does not turn texts into tokens; "
            "leave masked-lm and causal-lm out of `objectives`, or take a model with a tokenizer"
        )
    return cast(TextEncoder, preprocessor)


def windows(columns: Columns, stream: Stream) -> Arrays:
    """Give `input_ids` of all text columns, long texts in several windows, and `row`."""
    texts = [text for name in stream.roles.text for text in columns[name]]
    arrays = text_encoder(stream.preprocessor).windows(texts)
    rows = np.asarray(arrays["row"]) % max(1, len(columns[stream.roles.text[0]]))
    return arrays | {"row": rows}


def lm_loss(net: Callable[..., dict[str, torch.Tensor]], batch: Mapping[str, torch.Tensor]) -> Loss:
    """Sum the cross-entropy of `targets` int64 [n] at `positions` int64 [n]."""
    from torch.nn.functional import cross_entropy

    outputs = net(**{name: array for name, array in batch.items() if name != "targets"})
    logits = outputs["logits"].flatten(0, -2).float()
    return Loss(cross_entropy(logits, batch["targets"], reduction="sum"), outputs)
