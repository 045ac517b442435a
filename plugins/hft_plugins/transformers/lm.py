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


def texts_of(columns: Columns, stream: Stream) -> list[str]:
    """Give the texts of all text columns, column by column."""
    return [text for name in stream.roles.text for text in columns[name]]


def windows(columns: Columns, stream: Stream, offsets: bool = False, texts: bool = False) -> Arrays:
    """Give `input_ids` of all text columns, long texts in several windows, and `row`.

    With `offsets` also the characters of each token; with `texts` also `text` int64: which of `texts_of` a window is of.
    """
    arrays = text_encoder(stream.preprocessor).windows(texts_of(columns, stream), offsets=offsets)
    text = np.asarray(arrays["row"])
    rows = text % max(1, len(columns[stream.roles.text[0]]))
    return arrays | {"row": rows} | ({"text": text} if texts else {})


def lm_loss(
    net: Callable[..., dict[str, torch.Tensor]], batch: Mapping[str, torch.Tensor], label_smoothing: float = 0.0
) -> Loss:
    """Sum the cross-entropy of `targets` int64 [n] at `positions` int64 [n]."""
    from torch.nn.functional import cross_entropy

    outputs = net(**{name: array for name, array in batch.items() if name != "targets"})
    logits = outputs["logits"].flatten(0, -2).float()
    return Loss(cross_entropy(logits, batch["targets"], reduction="sum", label_smoothing=label_smoothing), outputs)
