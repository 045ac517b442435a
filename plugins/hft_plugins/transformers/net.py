"""The net of transformers' models: one backbone, and for each head the library's own Auto class grafted onto it."""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, cast

import torch
import transformers
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

from hft_core import HeadSpec, Net, Part, PluginError
from hft_core.runtime.cache import PAST
from hft_core.runtime.text import TextPreprocessor
from hft_plugins.transformers import cache as cached
from hft_plugins.transformers.tokenizer import SCRATCH_POSITIONS

_AUTO = {
    "sequence-classification": transformers.AutoModelForSequenceClassification,
    "token-classification": transformers.AutoModelForTokenClassification,
    "masked-lm": transformers.AutoModelForMaskedLM,
    "causal-lm": transformers.AutoModelForCausalLM,
}
_INPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids"})
"""What graphs take besides a cache."""
_SIZES = {"tiny": (2, 128, 2), "mini": (4, 256, 4), "small": (4, 512, 8), "base": (12, 768, 12)}


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
        self.heads = torch.nn.ModuleDict(heads)
        self.new_heads = new_heads
        self._positions: torch.Tensor | None = None
        config: Any = backbone.config
        self._decoder = not is_encoder(config.model_type, getattr(config, "is_decoder", False))
        self._counts_positions = self._decoder and "position_ids" in inspect.signature(backbone.forward).parameters
        backbone.register_forward_hook(self._keep_positions)

    def forward(self, head: str, **arrays: torch.Tensor) -> dict[str, torch.Tensor]:
        """Run backbone and head. Language-model heads are costly per token: `positions` saves them the rest."""
        module = self.heads[head]
        inputs = {name: array for name, array in arrays.items() if name != "positions"} | self._from_mask(arrays)
        self._positions = arrays.get("positions")
        try:
            output = self._stock(module, inputs) if is_stock(module) else self._own(module, inputs)
        finally:
            self._positions = None
        return {name: value for name, value in output.items() if isinstance(value, torch.Tensor)}

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
        if self._positions is not None:
            hidden = output.last_hidden_state
            output.last_hidden_state = hidden.flatten(0, 1)[self._positions][None]
        return output

    @property
    def _no_cache(self) -> dict[str, bool]:
        return {"use_cache": False} if getattr(self.backbone.config, "use_cache", False) and self._decoder else {}

    def embed(self, **arrays: torch.Tensor) -> torch.Tensor:
        """Mean of the last hidden states over real tokens, float32 [rows, width]."""
        inputs = arrays | self._from_mask(arrays)
        hidden = self.backbone(**inputs, return_dict=True, **self._no_cache).last_hidden_state.float()
        mask = arrays["attention_mask"][..., None].float()
        pooled: torch.Tensor = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)
        return pooled

    def parts(self) -> list[Part]:
        """Embeddings, layers and heads; what the backbone has behind its layers counts to the last layer's depth."""
        stack = max((module for module in self.backbone.modules() if isinstance(module, torch.nn.ModuleList)), key=len)
        layers = list(stack)
        embeddings, behind = _around(self.backbone, stack)
        count = len(layers) + 1
        result = [Part("embeddings", 0.0, "embeddings", embeddings)]
        result += [Part(f"layer.{i}", (i + 1) / count, "layer", layer) for i, layer in enumerate(layers)]
        if list(behind.parameters()):
            result.append(Part("final", len(layers) / count, "layer", behind))
        result += [Part(f"head.{name}", 1.0, "head", _own_modules(head)) for name, head in self.heads.items()]
        return result

    def save(self, folder: Path) -> None:
        """Write a plain transformers folder: the first head's model, or the backbone where that head is a task's own.

        Other heads lie beside it under heads/.
        """
        first, *others = self.heads
        whole = self.heads[first] if is_stock(self.heads[first]) else self.backbone
        with _quiet():
            cast(Any, whole).save_pretrained(folder)
        for name in others if whole is not self.backbone else self.heads:
            (folder / "heads").mkdir(exist_ok=True)
            save_file(
                _own_tensors(self.heads[name], self.backbone),
                folder / "heads" / f"{name}.safetensors",
                {"labels": json.dumps(self.labels.get(name, ()))},
            )


def from_folder(start: Path, preprocessor: TextPreprocessor, heads: Mapping[str, HeadSpec]) -> TransformersNet:
    """Load backbone and heads from a transformers folder; heads that it lacks are initialised and named new."""
    _refuse_foresight(start, heads)
    built: dict[str, Any] = {}
    own: dict[str, Any] = {}
    new: set[str] = set()
    with _quiet():
        backbone, missing = _loaded(transformers.AutoModel, start, {})
        if lost := sorted(name for name in missing if "pooler" not in name):
            raise PluginError(
                f"model: the weights in {start} lack {len(lost)} parameters of its config.json's architecture, such as "
                f"{lost[0]}; training would start from random numbers. Copy the model again, or use {{scratch: …}}"
            )
        for name, spec in heads.items():
            saved = start / "heads" / f"{name}.safetensors"
            if spec.factory is not None:
                own[name] = spec.factory(cast(Any, backbone).config.hidden_size)
                if not _restored(own[name], saved, spec):
                    new.add(name)
                continue
            head, absent = _loaded(_auto(spec), start, _labels(spec))
            if saved.is_file():
                if not _restored(_own_modules(head), saved, spec):
                    new.add(name)
            elif absent & _own_names(head):
                new.add(name)
            elif spec.labels and _renamed(start, spec):  # the same size, but other labels: not the same head
                fresh = _fresh(spec, head.config)
                _own_modules(head).load_state_dict(_own_modules(fresh).state_dict())
                new.add(name)
            built[name] = head
        if missing and built:  # parts such as a pooler that these weights lack: take that of a head that needs them
            backbone = (
                next((h.base_model for h in built.values() if hasattr(h.base_model, "pooler")), None)
                or next(iter(built.values())).base_model
            )
        _graft(backbone, built, preprocessor)
    return _assembled(backbone, built | own, heads, frozenset(new))


def from_scratch(
    family: Literal["bert", "gpt"], size: str, preprocessor: TextPreprocessor, heads: Mapping[str, HeadSpec]
) -> TransformersNet:
    """Initialise a BERT- or GPT-2-type model of a named size."""
    layers, width, attention_heads = _SIZES[size]
    config: Any
    if family == "bert":
        config = transformers.BertConfig(
            vocab_size=preprocessor.vocabulary,
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=attention_heads,
            intermediate_size=4 * width,
            max_position_embeddings=SCRATCH_POSITIONS,
            pad_token_id=preprocessor.pad_id,
        )
    else:
        end = preprocessor.special.get("eos")
        config = transformers.GPT2Config(
            vocab_size=preprocessor.vocabulary,
            n_embd=width,
            n_layer=layers,
            n_head=attention_heads,
            n_positions=SCRATCH_POSITIONS,
            pad_token_id=preprocessor.pad_id,
            bos_token_id=end,
            eos_token_id=end,
        )
    with _quiet():
        built: dict[str, Any] = {}
        own: dict[str, Any] = {}
        for name, spec in heads.items():
            if spec.factory is not None:
                own[name] = spec.factory(width)
            else:
                built[name] = _fresh(spec, config.__class__.from_dict(config.to_dict() | _labels(spec)))
        backbone = next((h.base_model for h in built.values() if hasattr(h.base_model, "pooler")), None)
        backbone = backbone or next((h.base_model for h in built.values()), None)
        auto: Any = transformers.AutoModel  # untyped
        backbone = backbone or auto.from_config(config, attn_implementation=_attention())
        _graft(backbone, built, preprocessor)
    return _assembled(backbone, built | own, heads, frozenset())  # all is new: there is no backbone to protect


def _assembled(
    backbone: Any, modules: Mapping[str, Any], heads: Mapping[str, HeadSpec], new: frozenset[str]
) -> TransformersNet:
    """Put the net together, its heads in the order in which they were asked for."""
    net = TransformersNet(backbone, {name: modules[name] for name in heads}, new)
    net.labels = {name: spec.labels for name, spec in heads.items() if spec.labels}
    return net


def is_stock(head: torch.nn.Module) -> bool:
    """Whether a head is a model of the library, not a task's own module."""
    return isinstance(head, transformers.PreTrainedModel)


def _restored(module: torch.nn.Module, saved: Path, spec: HeadSpec) -> bool:
    """Load a head's weights from heads/; whether they were there, of the same shapes and for the same labels."""
    if not saved.is_file():
        return False
    try:
        with safe_open(saved, "pt") as opened:
            labels = json.loads((opened.metadata() or {}).get("labels", "null"))
        tensors = load_file(saved)
    except (SafetensorError, ValueError) as error:
        raise PluginError(f"model: {saved} cannot be read ({error}); copy the model again") from error
    known = {name: tensor.shape for name, tensor in module.state_dict().items()}
    if any(known.get(name) != tensor.shape for name, tensor in tensors.items()):
        return False
    if labels is not None and labels != list(spec.labels):
        return False
    module.load_state_dict(tensors, strict=False)  # what is tied to the backbone comes by tying
    return True


def is_encoder(model_type: str | None, is_decoder: bool) -> bool:
    """Whether two settings of a config.json are those of a model whose tokens see both sides."""
    return model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES and not is_decoder


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


def _auto(spec: HeadSpec) -> Any:
    if spec.name not in _AUTO:
        raise PluginError(f"model: no head {spec.name!r}; these models have {', '.join(_AUTO)}")
    return _AUTO[spec.name]


def _refuse_foresight(start: Path, heads: Mapping[str, HeadSpec]) -> None:
    """Refuse next-token prediction with an encoder: transformers builds such a model, which sees its targets."""
    config = json.loads((start / "config.json").read_text("utf-8"))
    kind = config.get("model_type")
    encoder = is_encoder(kind, config.get("is_decoder", False))
    if encoder and any(spec.name == "causal-lm" and spec.factory is None for spec in heads.values()):
        raise PluginError(
            f"model: {start} is an encoder ({kind}), which would see the tokens that `causal-lm` asks for; use the model "
            "`bert` and the objective `masked-lm`, or a decoder's weights"
        )


def _fresh(spec: HeadSpec, config: Any) -> Any:
    """Initialise a head's model."""
    return _auto(spec).from_config(config, attn_implementation=_attention(), trust_remote_code=False)


def _attention() -> str:
    """On a CPU, torch's fused attention has no kernel for training with dropout; written out it is a little faster."""
    return "sdpa" if torch.cuda.is_available() else "eager"


def _labels(spec: HeadSpec) -> dict[str, Any]:
    if not spec.labels:
        return {}
    return {"id2label": dict(enumerate(spec.labels)), "label2id": {label: i for i, label in enumerate(spec.labels)}}


def _loaded(auto: Any, start: Path, settings: dict[str, Any]) -> tuple[Any, set[str]]:
    """Load a model in fp32; gives it with the names of the parameters that the folder lacks."""
    try:
        model, info = auto.from_pretrained(
            str(start),
            output_loading_info=True,
            dtype=torch.float32,
            ignore_mismatched_sizes=True,
            attn_implementation=_attention(),
            trust_remote_code=False,  # with None, transformers asks on the terminal
            **settings,
        )
    except (ValueError, OSError, KeyError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise PluginError(f"model: {start} cannot be loaded as {auto.__name__}: {reason}") from error
    mismatched = {key if isinstance(key, str) else key[0] for key in info["mismatched_keys"]}
    prefix = f"{model.base_model_prefix}."
    if lost := sorted(key for key in mismatched if auto is transformers.AutoModel or key.startswith(prefix)):
        raise PluginError(f"model: the weights in {start} do not fit its config.json (such as {lost[0]})")
    return model, set(info["missing_keys"]) | mismatched


def _graft(backbone: Any, heads: dict[str, Any], preprocessor: TextPreprocessor) -> None:
    """Make all heads share one backbone, its tied embeddings included."""
    for head in heads.values():
        setattr(head, head.base_model_prefix, backbone)
        head.tie_weights()
        if getattr(head.config, "pad_token_id", None) is None:
            head.config.pad_token_id = preprocessor.pad_id
    if getattr(backbone.config, "pad_token_id", None) is None:
        backbone.config.pad_token_id = preprocessor.pad_id


def _own_names(head: Any) -> set[str]:
    """Names, in the head's model, of the parameters that are not its backbone's."""
    prefix = f"{head.base_model_prefix}."
    return {name for name in head.state_dict() if not name.startswith(prefix)}


def _own_tensors(head: Any, backbone: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A head's own weights, each once, without those that it shares with the backbone."""
    seen = {parameter.data_ptr() for parameter in backbone.parameters()}
    own: dict[str, torch.Tensor] = {}
    for name, tensor in _own_modules(head).state_dict().items():
        if tensor.data_ptr() not in seen:
            seen.add(tensor.data_ptr())
            own[name] = tensor.contiguous()
    return own


def _renamed(start: Path, spec: HeadSpec) -> bool:
    """Whether the folder's own head was trained for other labels, by name."""
    saved = json.loads((start / "config.json").read_text("utf-8")).get("id2label") or {}
    names = [saved[key] for key in sorted(saved, key=int)]
    generic = all(name == f"LABEL_{index}" for index, name in enumerate(names))
    return not generic and names != list(spec.labels)


def _own_modules(head: Any) -> torch.nn.Module:
    """What of a head is not the backbone."""
    if not is_stock(head):
        return cast(torch.nn.Module, head)
    children = {name: child for name, child in head.named_children() if name != head.base_model_prefix}
    return torch.nn.ModuleDict(children)


@contextmanager
def _quiet() -> Any:
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
