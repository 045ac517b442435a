"""Building a net: from a folder of weights, or fresh; each head is loaded, or initialised and named new."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
import transformers
from safetensors import SafetensorError
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from hft_core import HeadSpec, PluginError
from hft_core.runtime.text import TextPreprocessor
from hft_plugins.transformers.net import TransformersNet, is_encoder, own_modules, quiet
from hft_plugins.transformers.restore import (
    AS_IT_WAS,
    LANGUAGE,
    Change,
    Saved,
    at_root,
    is_of_kind,
    keep_rows,
    load,
    named_labels,
    read,
)

_AUTO = {
    "sequence-classification": transformers.AutoModelForSequenceClassification,
    "token-classification": transformers.AutoModelForTokenClassification,
    "question-answering": transformers.AutoModelForQuestionAnswering,
    "masked-lm": transformers.AutoModelForMaskedLM,
    "causal-lm": transformers.AutoModelForCausalLM,
}


_TWO_SIDED = frozenset({"xlnet"})
"""Kinds that predict next tokens and see both sides all the same."""


def from_folder(start: Path, preprocessor: TextPreprocessor, heads: Mapping[str, HeadSpec]) -> TransformersNet:
    """Load backbone and heads from a transformers folder; heads that it lacks are initialised and named new.

    A head is found by its name: under heads/, or in the folder itself where it was saved there. A folder that is not
    from a run, such as the hub's, does not name its head: it is the only one of that kind that is asked for. Either is
    known with the labels (or, without labels, the size) that are asked for; of one with other labels, the rows of those
    that stay are loaded, and the others initialised. A language model's head predicts the tokens of the one vocabulary, so
    it is known by any name. Raises PluginError for weights that cannot be loaded, and for a spec whose size does not fit
    its labels.
    """
    built: dict[str, Any] = {}
    own: dict[str, Any] = {}
    changes: dict[str, Change | None] = {}
    root = at_root(start, heads)
    with quiet():
        backbone, missing = loaded(transformers.AutoModel, start, {})
        if lost := sorted(name for name in missing if "pooler" not in name):
            raise PluginError(
                f"model: the weights in {start} lack {len(lost)} parameters of its config.json's architecture, such as "
                f"{lost[0]}; training would start from random numbers. Copy the model again, or use {{scratch: …}}"
            )
        for name, spec in heads.items():
            saved = read(start / "heads" / f"{name}.safetensors")
            if spec.factory is None:
                built[name], changes[name] = _stock(start, saved, spec, name in root)
            else:
                own[name] = spec.factory(cast(Any, backbone).config.hidden_size)
                changes[name] = _own(own[name], saved, spec)
        if missing and built:  # parts such as a pooler that these weights lack: take that of a head that needs them
            backbone = _pooled(built) or next(iter(built.values())).base_model
        graft(backbone, built, preprocessor)
    net = _assembled(
        backbone, built | own, heads, frozenset(name for name, change in changes.items() if change is None or change[0])
    )
    net.changed_labels = {name: change for name, change in changes.items() if change and any(change)}
    return net


def from_scratch(config: Any, preprocessor: TextPreprocessor, heads: Mapping[str, HeadSpec]) -> TransformersNet:
    """Initialise a model of one stack."""
    with quiet():
        built: dict[str, Any] = {}
        own: dict[str, Any] = {}
        for name, spec in heads.items():
            if spec.factory is not None:
                own[name] = spec.factory(config.hidden_size)
            else:
                built[name] = fresh(spec, config.__class__.from_dict(config.to_dict() | _outputs(spec)))
        backbone = _pooled(built)
        backbone = backbone or next((h.base_model for h in built.values()), None)
        auto: Any = transformers.AutoModel  # untyped
        backbone = backbone or auto.from_config(config, attn_implementation=attention())
        graft(backbone, built, preprocessor)
    return _assembled(backbone, built | own, heads, frozenset())  # all is new: there is no backbone to protect


def _stock(start: Path, saved: Saved | None, spec: HeadSpec, rooted: bool) -> tuple[Any, Change | None]:
    """Load a head of the library's: `saved`, or where `rooted` the folder's own; None: its weights were not there."""
    head, absent = loaded(_auto(spec), start, _outputs(spec))
    own, lacks = own_modules(head), _own_names(head) & absent
    if saved is not None:
        known = load(own, saved, spec.labels)
    elif rooted and is_of_kind(start, spec, type(head).__name__):
        names = named_labels(start)
        known = not lacks and (not spec.labels or names in ((), spec.labels))
        saved = _of_folder(start, spec, names) if not known and set(names) & set(spec.labels) else None
    else:
        known = False
    if known:
        return head, AS_IT_WAS
    if spec.name not in LANGUAGE and _own_names(head) - absent:  # what was loaded is another head's
        own.load_state_dict(own_modules(fresh(spec, head.config)).state_dict())
    return head, None if saved is None else keep_rows(own, saved, spec.labels)


def _of_folder(start: Path, spec: HeadSpec, names: tuple[str, ...]) -> Saved | None:
    """The folder's own head as it is, with its own labels; None where weights of it are missing."""
    head, absent = loaded(_auto(spec), start, {})
    return None if _own_names(head) & absent else Saved(own_modules(head).state_dict(), names)


def _own(module: torch.nn.Module, saved: Saved | None, spec: HeadSpec) -> Change | None:
    """Load a task's own module from heads/; None: its weights were not there. One without weights is never new."""
    if saved is not None and load(module, saved, spec.labels):
        return AS_IT_WAS
    if not list(module.parameters()):
        return AS_IT_WAS
    return None if saved is None else keep_rows(module, saved, spec.labels)


def _assembled(
    backbone: Any, modules: Mapping[str, Any], heads: Mapping[str, HeadSpec], new: frozenset[str]
) -> TransformersNet:
    """Put the net together, its heads in the order in which they were asked for."""
    net = TransformersNet(backbone, {name: modules[name] for name in heads}, new)
    net.labels = {name: spec.labels for name, spec in heads.items() if spec.labels}
    return net


def _auto(spec: HeadSpec) -> Any:
    if spec.name not in _AUTO:
        raise PluginError(f"model: no head {spec.name!r}; these models have {', '.join(_AUTO)}")
    return _AUTO[spec.name]


def require_family(start: Path, family: str) -> None:
    """Refuse weights of the other family: transformers builds, say, a decoder of BERT's, which sees what it is to predict.

    Raises PluginError. Kinds that transformers has neither for hidden nor for next tokens pass as either.
    """
    config = json.loads((start / "config.json").read_text("utf-8"))
    kind = config.get("model_type")
    if is_encoder(kind, config.get("is_decoder", False)):
        found, sees, other = "gpt", "an encoder", "bert"
    elif kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and kind not in _TWO_SIDED:
        found, sees, other = "bert", "a decoder", "gpt"
    else:
        return
    if family == found:
        saw = "see both sides" if other == "bert" else "see only what precedes them"
        raise PluginError(
            f"model: {start} is {sees} ({kind}), whose tokens {saw}; write `type: {other}`, or take other weights"
        )


def fresh(spec: HeadSpec, config: Any) -> Any:
    """Initialise a head's model."""
    return _auto(spec).from_config(config, attn_implementation=attention(), trust_remote_code=False)


def attention() -> str:
    """On a CPU, torch's fused attention has no kernel for training with dropout; written out it is a little faster."""
    return "sdpa" if torch.cuda.is_available() else "eager"


def _outputs(spec: HeadSpec) -> dict[str, Any]:
    """Give the settings of config.json for a head's outputs: their names or, without names, their number."""
    if spec.name in LANGUAGE and spec.size is not None:
        raise PluginError(f"model: the outputs of the head {spec.name} are the vocabulary; leave its size out")
    if not spec.labels:
        return {} if spec.size is None else {"num_labels": spec.size}
    if spec.size not in (None, len(spec.labels)):
        raise PluginError(
            f"model: the head {spec.name} has size {spec.size} but {len(spec.labels)} labels; give one size"
        )
    return {"id2label": dict(enumerate(spec.labels)), "label2id": {label: i for i, label in enumerate(spec.labels)}}


def loaded(auto: Any, start: Path, settings: dict[str, Any]) -> tuple[Any, set[str]]:
    """Load a model in fp32; gives it with the names of the parameters that the folder lacks."""
    try:
        model, info = auto.from_pretrained(
            str(start),
            output_loading_info=True,
            dtype=torch.float32,
            ignore_mismatched_sizes=True,
            attn_implementation=attention(),
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
