"""Building a net: from a folder of weights, or fresh; each head is loaded, or initialised and named new."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, cast

import torch
import transformers
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from hft_core import HeadSpec, PluginError
from hft_core.runtime.text import TextPreprocessor
from hft_plugins.transformers.net import ROOT, TransformersNet, is_encoder, own_modules, quiet
from hft_plugins.transformers.tokenizer import SCRATCH_POSITIONS

_AUTO = {
    "sequence-classification": transformers.AutoModelForSequenceClassification,
    "token-classification": transformers.AutoModelForTokenClassification,
    "masked-lm": transformers.AutoModelForMaskedLM,
    "causal-lm": transformers.AutoModelForCausalLM,
}
_LANGUAGE = frozenset({"masked-lm", "causal-lm"})
"""Heads whose outputs are the vocabulary."""
_SIZES = {"tiny": (2, 128, 2), "mini": (4, 256, 4), "small": (4, 512, 8), "base": (12, 768, 12)}


def from_folder(start: Path, preprocessor: TextPreprocessor, heads: Mapping[str, HeadSpec]) -> TransformersNet:
    """Load backbone and heads from a transformers folder; heads that it lacks are initialised and named new.

    A head is found by its name: under heads/, or in the folder itself where it was saved there. A folder that is not
    from a run, such as the hub's, does not name its head: it is the only one of that kind that is asked for. Either is
    known only with the labels (or, without labels, the size) that are asked for. A language model's head predicts the
    tokens of the one vocabulary, so it is known by any name. Raises PluginError for weights that cannot be loaded, and
    for a spec whose size does not fit its labels.
    """
    _refuse_foresight(start, heads)
    built: dict[str, Any] = {}
    own: dict[str, Any] = {}
    new: set[str] = set()
    at_root = _at_root(start, heads)
    with quiet():
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
            head, known = _stock(start, saved, spec, name in at_root)
            if not known:
                new.add(name)
            built[name] = head
        if missing and built:  # parts such as a pooler that these weights lack: take that of a head that needs them
            backbone = _pooled(built) or next(iter(built.values())).base_model
        graft(backbone, built, preprocessor)
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
    with quiet():
        built: dict[str, Any] = {}
        own: dict[str, Any] = {}
        for name, spec in heads.items():
            if spec.factory is not None:
                own[name] = spec.factory(width)
            else:
                built[name] = fresh(spec, config.__class__.from_dict(config.to_dict() | _outputs(spec)))
        backbone = _pooled(built)
        backbone = backbone or next((h.base_model for h in built.values()), None)
        auto: Any = transformers.AutoModel  # untyped
        backbone = backbone or auto.from_config(config, attn_implementation=_attention())
        graft(backbone, built, preprocessor)
    return _assembled(backbone, built | own, heads, frozenset())  # all is new: there is no backbone to protect


def _stock(start: Path, saved: Path, spec: HeadSpec, at_root: bool) -> tuple[Any, bool]:
    """Load a head of the library's, and say whether its weights were there; it may start from the folder's `at_root`."""
    head, absent = _loaded(_auto(spec), start, _outputs(spec))
    if saved.is_file():
        known = _restored(own_modules(head), saved, spec)
    else:
        known = at_root and not absent & _own_names(head) and _is_meant(start, spec, head)
    if not known and spec.name not in _LANGUAGE and _own_names(head) - absent:  # what was loaded is another head's
        own_modules(head).load_state_dict(own_modules(fresh(spec, head.config)).state_dict())
    return head, known


def _at_root(start: Path, heads: Mapping[str, HeadSpec]) -> set[str]:
    """Names of the stock heads that may start from the head in the folder itself."""
    wanted = {
        name: spec.name
        for name, spec in heads.items()
        if spec.factory is None and not (start / "heads" / f"{name}.safetensors").is_file()
    }
    language = {name for name, kind in wanted.items() if kind in _LANGUAGE}
    record = start / ROOT
    if record.is_file():
        try:
            return language | {json.loads(record.read_text("utf-8"))["root"]}
        except (ValueError, KeyError, TypeError) as error:
            raise PluginError(f"model: {record} does not name the folder's head; copy the model again") from error
    count = Counter(wanted.values())
    return language | {name for name, kind in wanted.items() if count[kind] == 1}


def _assembled(
    backbone: Any, modules: Mapping[str, Any], heads: Mapping[str, HeadSpec], new: frozenset[str]
) -> TransformersNet:
    """Put the net together, its heads in the order in which they were asked for."""
    net = TransformersNet(backbone, {name: modules[name] for name in heads}, new)
    net.labels = {name: spec.labels for name, spec in heads.items() if spec.labels}
    return net


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


def fresh(spec: HeadSpec, config: Any) -> Any:
    """Initialise a head's model."""
    return _auto(spec).from_config(config, attn_implementation=_attention(), trust_remote_code=False)


def _attention() -> str:
    """On a CPU, torch's fused attention has no kernel for training with dropout; written out it is a little faster."""
    return "sdpa" if torch.cuda.is_available() else "eager"


def _outputs(spec: HeadSpec) -> dict[str, Any]:
    """Give the settings of config.json for a head's outputs: their names or, without names, their number."""
    if spec.name in _LANGUAGE and spec.size is not None:
        raise PluginError(f"model: the outputs of the head {spec.name} are the vocabulary; leave its size out")
    if not spec.labels:
        return {} if spec.size is None else {"num_labels": spec.size}
    if spec.size not in (None, len(spec.labels)):
        raise PluginError(
            f"model: the head {spec.name} has size {spec.size} but {len(spec.labels)} labels; give one size"
        )
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


def _pooled(built: Mapping[str, Any]) -> Any:
    """The backbone of the first head that has a pooler; some heads are built without one, others need it."""
    return next((h.base_model for h in built.values() if getattr(h.base_model, "pooler", None) is not None), None)


def graft(backbone: Any, heads: dict[str, Any], preprocessor: TextPreprocessor) -> None:
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


def _is_meant(start: Path, spec: HeadSpec, head: Any) -> bool:
    """Whether the folder's own head is of the kind, and for the labels, that are asked for."""
    if spec.name in _LANGUAGE:
        return True
    saved = json.loads((start / "config.json").read_text("utf-8"))
    if type(head).__name__ not in (saved.get("architectures") or [type(head).__name__]):
        return False  # classifiers of texts and of tokens have the same weights by name
    names = [label for _, label in sorted((saved.get("id2label") or {}).items(), key=lambda item: int(item[0]))]
    generic = all(name == f"LABEL_{index}" for index, name in enumerate(names))
    return not spec.labels or generic or names == list(spec.labels)
