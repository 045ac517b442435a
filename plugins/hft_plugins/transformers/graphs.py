"""Flat-tensor views of a net for export."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hft_core import Graph, Net, PluginError
from hft_core.runtime.cache import PAST, PRESENT
from hft_plugins.transformers.net import TransformersNet, is_stock
from hft_plugins.transformers.tokenizer import positions
from hft_plugins.transformers.untraceable import untraceable

Axes = dict[str, tuple[str | int, ...]]


class View(torch.nn.Module):
    """A graph of a net that takes its inputs by position and gives a tuple: what tracing wants."""

    def __init__(self, net: Net, head: str, graph: str, inputs: list[str], outputs: list[str]):
        super().__init__()
        self.net, self.head, self.graph = net, head, graph
        self.inputs, self.outputs = inputs, outputs

    def forward(self, *arrays: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Run the graph."""
        found = self.net.run(self.head, self.graph, **dict(zip(self.inputs, arrays, strict=True)))
        return tuple(found[name] for name in self.outputs)


def graph(net: TransformersNet, head: str) -> Graph:
    """Give the graph `model` of one head.

    Raises PluginError for an architecture that cannot be exported, and a task's own head that does not name its outputs.

    input_ids and attention_mask (and token_type_ids) to the head's outputs; where the head predicts next tokens, with
    the cache that `Graph` describes.
    """
    module: Any = net.heads[head]
    backbone: Any = net.backbone
    refuse_untraceable(backbone.config.model_type)
    # Eager attention is written out as plain matrix products, which ONNX Runtime can fuse.
    (module if is_stock(module) else backbone).set_attn_implementation("eager")
    longest = positions(backbone.config.to_dict())
    inputs: Axes = dict.fromkeys(_inputs(backbone.config), ("batch", "sequence"))
    outputs = _outputs(module, head)
    example = {name: array for name, array in _example(backbone.config).items() if name in inputs}
    if net.has_cache(head):
        cache = _cache(net, head, example)
        inputs |= {"attention_mask": ("batch", "total")} | {
            f"{PAST}{name}": axes_of(a, "past") for name, a in cache.items()
        }
        outputs |= {f"{PRESENT}{name}": axes_of(array, "total") for name, array in cache.items()}
        example |= {f"{PAST}{name}": array for name, array in cache.items()}
        seen = np.ones((2, _PAST), np.int64)
        seen[1, 0] = 0
        example["attention_mask"] = np.concatenate([seen, example["attention_mask"]], axis=1)
    limits = {} if longest is None else {"total" if net.has_cache(head) else "sequence": longest}
    return Graph("model", View(net, head, "model", list(inputs), list(outputs)), inputs, outputs, example, limits)


def refuse_untraceable(kind: str) -> None:
    """Raise PluginError for an architecture of which there is no graph for all lengths."""
    if reason := untraceable(kind):
        raise PluginError(f"onnx export: {reason}")


_PAST = 3
"""Tokens in the example's cache; as all its sizes, one that no other axis has and no tracer takes for special."""


def _inputs(config: Any) -> list[str]:
    return ["input_ids", "attention_mask"] + ["token_type_ids"] * (getattr(config, "type_vocab_size", 0) > 1)


def _outputs(module: Any, head: str) -> Axes:
    """Names and axes of a head's outputs without its cache."""
    if not is_stock(module):
        named = getattr(module, "outputs", None)
        if not isinstance(named, dict) or not named:
            raise PluginError(
                f"onnx export: the head {head!r} is a {type(module).__name__}, which does not say what it gives; its "
                'class has to have `outputs`, a dict of each output\'s axes, such as {"logits": ("batch", 2)}'
            )
        return {name: tuple(axes) for name, axes in named.items()}
    name = type(module).__name__
    if name.endswith("ForSequenceClassification"):
        return {"logits": ("batch", module.config.num_labels)}
    if name.endswith("ForTokenClassification"):
        return {"logits": ("batch", "sequence", module.config.num_labels)}
    if "ForQuestionAnswering" in name:
        return dict.fromkeys(("start_logits", "end_logits"), ("batch", "sequence"))
    return {"logits": ("batch", "sequence", module.config.vocab_size)}


def _example(config: Any) -> dict[str, NDArray[Any]]:
    """Two rows of 8 tokens, one of them padded."""
    ids = (np.arange(16, dtype=np.int64).reshape(2, 8) + 5) % config.vocab_size
    mask = np.ones((2, 8), np.int64)
    mask[1, 6:] = 0
    ids[1, 6:] = config.pad_token_id or 0
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


def _cache(net: TransformersNet, head: str, example: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The cache of the example's first tokens, by layer and kind."""
    tensors = {name: torch.from_numpy(array[:, :_PAST]) for name, array in example.items()}
    with torch.no_grad():
        found = net.run(head, "model", **tensors)
    return {name.removeprefix(PRESENT): a.numpy() for name, a in found.items() if name.startswith(PRESENT)}


def axes_of(array: NDArray[Any], length: str) -> tuple[str | int, ...]:
    """Axes of a cache's array [batch, heads, length, width]."""
    _, heads, _, width = array.shape
    return ("batch", heads, length, width)
