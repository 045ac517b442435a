"""The net of transformers' models: one backbone, and for each head the library's own Auto class grafted onto it."""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, cast

import torch
import transformers
from safetensors.torch import save_file
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

from hft_core import Net, Part
from hft_core.runtime.cache import PAST
from hft_plugins.transformers import cache as cached
from hft_plugins.transformers.last_layer import LastLayer, first
from hft_plugins.transformers.packing import Packing

_INPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids"})
"""What graphs take besides a cache."""
ROOT = "heads.json"
"""The file of a saved folder that names the head in the folder itself: ``{"root": NAME}``, null where there is none."""
_PREFIX = "head_"


class TransformersNet(Net):
    """Heads share `backbone`; `positions` (int64, flat over batch × sequence) asks a head for these tokens only.

    A head is a model of the library with the shared backbone in it, or a module of a task's own that reads the
    backbone's last states.
    """

    def __init__(self, backbone: torch.nn.Module, heads: dict[str, Any], new_heads: frozenset[str]):
        super().__init__()
        self.labels: dict[str, tuple[str, ...]] = {}
        """Names of a head's outputs, where its task gave them."""
        self.backbone = backbone
        # Without a prefix, a head called `type` or `keys` would be in the way of a torch module's own attributes.
        self._heads = torch.nn.ModuleDict({f"{_PREFIX}{name}": head for name, head in heads.items()})
        self.new_heads = new_heads
        self._positions: torch.Tensor | None = None
        config: Any = backbone.config
        self._decoder = not is_encoder(config.model_type, getattr(config, "is_decoder", False))
        self._packing = Packing()
        self._counts_positions = self._decoder and "position_ids" in inspect.signature(backbone.forward).parameters
        backbone.register_forward_hook(self._keep_positions)
        self._last_layer = LastLayer(config.model_type, stack_of(backbone)[1][-1])

    @property
    def heads(self) -> dict[str, Any]:
        """The heads by their names, in the order in which they were asked for."""
        return {key.removeprefix(_PREFIX): head for key, head in self._heads.items()}

    def forward(self, head: str, **arrays: torch.Tensor) -> dict[str, torch.Tensor]:
        """Run backbone and head. Language-model heads are costly per token: `positions` saves them the rest."""
        module = self.heads[head]
        if "position_ids" in arrays:
            self._packing.need(module, self._no_cache)
        inputs = {name: array for name, array in arrays.items() if name != "positions"} | self._from_mask(arrays)
        self._positions = arrays.get("positions")
        try:
            with self._last_layer_for(module):
                output = self._stock(module, inputs) if is_stock(module) else self._own(module, inputs)
        finally:
            self._positions = None
        return {name: value for name, value in output.items() if isinstance(value, torch.Tensor)}

    def _last_layer_for(self, module: torch.nn.Module) -> AbstractContextManager[None]:
        """Train the last layer for the tokens only that the head reads, where that can be told.

        Not in evaluation: exported graphs and their reference compute everything.
        """
        if not self.training or not self._last_layer.known:
            return nullcontext()
        positions = self._positions
        if positions is None:
            read_first = is_stock(module) and type(module).__name__.endswith("ForSequenceClassification")
            return self._last_layer.only(first) if read_first else nullcontext()
        if not len(positions):  # a pooler looks at the first of them
            return nullcontext()
        return self._last_layer.only(lambda states: states.flatten(0, 1)[positions][None])

    def _stock(self, module: torch.nn.Module, inputs: dict[str, torch.Tensor]) -> dict[str, Any]:
        """Run a model of the library, whose outputs are tensors and others."""
        output: dict[str, Any] = module(**inputs, return_dict=True, **self._no_cache)
        return output

    def _own(self, module: torch.nn.Module, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Run the backbone and a task's own module."""
        hidden = self.backbone(**inputs, return_dict=True, **self._no_cache).last_hidden_state
        mask = inputs["attention_mask"]
        if self._positions is not None:
            mask = mask.flatten()[self._positions][None]
        outputs: dict[str, torch.Tensor] = module(hidden, mask)
        return outputs

    def run(self, head: str, graph: str, **arrays: torch.Tensor) -> dict[str, torch.Tensor]:
        """Compute the graph `model`; a decoder that predicts the next token takes and gives its cache."""
        past = {name: array for name, array in arrays.items() if name.startswith(PAST)}
        inputs = {name: array for name, array in arrays.items() if name in _INPUTS}
        if not self.has_cache(head):
            return self(head, **inputs)  # type: ignore[no-any-return]  # torch modules are called untyped
        cache = cached.filled(past)
        output = self.heads[head](
            **inputs, **self._from_mask(inputs), past_key_values=cache, use_cache=True, return_dict=True
        )
        return {"logits": output.logits} | cached.presents(cache)

    def has_cache(self, head: str) -> bool:
        """Whether a head predicts next tokens one by one, so that what was computed for the earlier ones is kept."""
        return isinstance(self.heads[head], transformers.GenerationMixin) and self._decoder

    def _from_mask(self, arrays: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """A decoder's positions count the tokens that are there, so that padding on either side, or holes, move nothing.

        The library would count padding too, except where it generates.
        """
        if not self._counts_positions or "attention_mask" not in arrays:
            return {}
        counted = (arrays["attention_mask"].long().cumsum(-1) - 1).clamp(min=0)
        return {"position_ids": counted[:, -arrays["input_ids"].shape[1] :]}

    def _keep_positions(self, module: Any, args: Any, output: Any) -> Any:
        hidden = output.last_hidden_state
        if self._positions is not None and not self._last_layer.busy:
            output.last_hidden_state = hidden.flatten(0, 1)[self._positions][None]
        return output

    @property
    def _no_cache(self) -> dict[str, bool]:
        return {"use_cache": False} if getattr(self.backbone.config, "use_cache", False) and self._decoder else {}

    def models(self) -> list[Any]:
        """The library's models in it: the backbone, and the heads that are models themselves."""
        return [self.backbone, *(head for head in self.heads.values() if is_stock(head))]

    def embedding(self) -> torch.nn.Module:
        """The token embeddings."""
        layer: torch.nn.Module = cast(Any, self.backbone).get_input_embeddings()
        return layer

    def embed(self, **arrays: torch.Tensor) -> torch.Tensor:
        """Mean of the last hidden states over real tokens, float32 [rows, width]."""
        inputs = arrays | self._from_mask(arrays)
        hidden = self.backbone(**inputs, return_dict=True, **self._no_cache).last_hidden_state.float()
        mask = arrays["attention_mask"][..., None].float()
        pooled: torch.Tensor = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)
        return pooled

    def parts(self) -> list[Part]:
        """Embeddings, layers and heads; what the backbone has behind its layers counts to the last layer's depth."""
        embeddings, layers, behind = stack_of(self.backbone)
        count = len(layers) + 1
        result = [Part("embeddings", 0.0, "embeddings", embeddings)]
        result += [Part(f"layer.{i}", (i + 1) / count, "layer", layer) for i, layer in enumerate(layers)]
        if list(behind.parameters()):
            result.append(Part("final", len(layers) / count, "layer", behind))
        result += [Part(f"head.{name}", 1.0, "head", own_modules(head)) for name, head in self.heads.items()]
        return result

    def save(self, folder: Path) -> None:
        """Write a plain transformers folder: the first head's model, or the backbone where that head is a task's own.

        Other heads lie beside it under heads/; heads.json names the first, so that no other starts from its weights.
        """
        first = next(iter(self.heads), None)
        root = first if first is not None and is_stock(self.heads[first]) else None
        whole = self.backbone if root is None else self.heads[root]
        with quiet():
            cast(Any, whole).save_pretrained(folder)
        (folder / ROOT).write_text(json.dumps({"root": root}) + "\n", "utf-8")
        for name, head in self.heads.items():
            if name == root:
                continue
            (folder / "heads").mkdir(exist_ok=True)
            save_file(
                own_tensors(head, self.backbone),
                folder / "heads" / f"{name}.safetensors",
                {"labels": json.dumps(self.labels.get(name, ()))},
            )


def is_stock(head: torch.nn.Module) -> bool:
    """Whether a head is a model of the library, not a task's own module."""
    return isinstance(head, transformers.PreTrainedModel)


def is_encoder(model_type: str | None, is_decoder: bool) -> bool:
    """Whether two settings of a config.json are those of a model whose tokens see both sides."""
    return model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES and not is_decoder


def stack_of(backbone: torch.nn.Module) -> tuple[torch.nn.ModuleList, torch.nn.ModuleList, torch.nn.ModuleList]:
    """Divide a stack of layers into what these build on, the layers, and what comes behind them."""
    lists = [module for module in backbone.modules() if isinstance(module, torch.nn.ModuleList)]
    inner = {id(module) for outer in lists for module in outer.modules() if module is not outer}
    layers = max((module for module in lists if id(module) not in inner), key=len)
    before, behind = _around(backbone, layers)
    return before, layers, behind


def _around(backbone: torch.nn.Module, stack: torch.nn.Module) -> tuple[torch.nn.ModuleList, torch.nn.ModuleList]:
    """Divide what a backbone has beside its layers into what they build on and what comes behind them.

    Order decides, except that embeddings and relative positions (DeBERTa's, MPNet's) may stand behind the
    layers that share them.
    """
    before, behind = torch.nn.ModuleList(), torch.nn.ModuleList()
    if loose := list(backbone.parameters(recurse=False)):
        before.append(torch.nn.ParameterList(loose))
    passed = False
    for name, child in backbone.named_children():
        if child is stack:
            passed = True
        elif any(module is stack for module in child.modules()):
            for whole, part in zip((before, behind), _around(child, stack), strict=True):
                whole.extend(part)
            passed = True
        else:
            (behind if passed and "emb" not in name and "rel" not in name else before).append(child)
    return before, behind


def own_tensors(head: Any, backbone: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A head's own weights, each once, without those that it shares with the backbone."""
    seen = {parameter.data_ptr() for parameter in backbone.parameters()}
    own: dict[str, torch.Tensor] = {}
    for name, tensor in own_modules(head).state_dict().items():
        if tensor.data_ptr() not in seen:
            seen.add(tensor.data_ptr())
            own[name] = tensor.contiguous()
    return own


def own_modules(head: Any) -> torch.nn.Module:
    """What of a head is not the backbone."""
    if not is_stock(head):
        return cast(torch.nn.Module, head)
    children = {name: child for name, child in head.named_children() if name != head.base_model_prefix}
    return torch.nn.ModuleDict(children)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the library's loading reports and bars to itself: what is new is announced by the engine."""
    logger = logging.getLogger("transformers")
    level = logger.level
    bar_logging: Any = transformers.utils.logging  # untyped
    bars = bar_logging.is_progress_bar_enabled()
    logger.setLevel(logging.CRITICAL)
    bar_logging.disable_progress_bar()
    try:
        yield
    finally:
        logger.setLevel(level)
        if bars:
            bar_logging.enable_progress_bar()
