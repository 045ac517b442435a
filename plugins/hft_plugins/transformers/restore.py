"""What a folder of weights has of a head: whose it is, for which labels, and the rows of those that stay."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from hft_core import HeadSpec, PluginError
from hft_plugins.transformers.net import ROOT

LANGUAGE = frozenset({"masked-lm", "causal-lm"})
"""Heads whose outputs are the vocabulary."""

Change = tuple[tuple[str, ...], tuple[str, ...]]
"""The labels that a head has more, and those that it has no longer, than its weights were trained with."""
AS_IT_WAS: Change = ((), ())


@dataclass(frozen=True)
class Saved:
    """A head's weights as a folder has them."""

    tensors: Mapping[str, torch.Tensor]
    labels: tuple[str, ...] | None
    """What its outputs were for, in order; None where that was not noted."""


def read(file: Path) -> Saved | None:
    """Read a head from heads/; None where it is not there."""
    if not file.is_file():
        return None
    try:
        with safe_open(file, "pt") as opened:
            labels = json.loads((opened.metadata() or {}).get("labels", "null"))
        return Saved(load_file(file), None if labels is None else tuple(labels))
    except (SafetensorError, ValueError, TypeError) as error:
        raise PluginError(f"model: {file} cannot be read ({error}); copy the model again") from error


def load(module: torch.nn.Module, saved: Saved, labels: tuple[str, ...]) -> bool:
    """Load a head's weights if they are of the same shapes and for the same labels; say whether they were."""
    known = {name: tensor.shape for name, tensor in module.state_dict().items()}
    if any(known.get(name) != tensor.shape for name, tensor in saved.tensors.items()):
        return False
    if saved.labels not in (None, labels):
        return False
    module.load_state_dict(saved.tensors, strict=False)  # what is tied to the backbone comes by tying
    return True


def keep_rows(module: torch.nn.Module, saved: Saved, labels: tuple[str, ...]) -> Change | None:
    """Load what does not depend on the labels, and of what does the rows of the labels that stay.

    The rows of new labels stay as `module` has them. Gives what changed, two empty tuples if it is only the order; None,
    and `module` stays as it is, where no label stays or the weights do not tell for certain which rows are the labels'.
    """
    old = saved.labels or ()
    stay = [label for label in labels if label in old]
    fresh = module.state_dict()
    by_label = _by_label(fresh, saved.tensors, len(labels), len(old))
    if not stay or not by_label or len(set(old)) < len(old):
        return None
    here, there = [labels.index(label) for label in stay], [old.index(label) for label in stay]
    kept = dict(saved.tensors)
    for name in by_label:
        kept[name] = fresh[name].clone()
        kept[name][here] = saved.tensors[name][there].to(fresh[name])
    module.load_state_dict(kept, strict=False)
    return tuple(label for label in labels if label not in old), tuple(label for label in old if label not in labels)


def _by_label(fresh: Mapping[str, torch.Tensor], saved: Mapping[str, torch.Tensor], now: int, then: int) -> set[str]:
    """Names of the tensors that have a row per label, `now` and `then` of them; empty where that is not certain.

    Where the number changed, they are the tensors that changed with it. Where it is the same, they are those of so many
    rows, which must all belong to one layer; and nothing else in the head may have this size.
    """
    if not saved.keys() <= fresh.keys():
        return set()
    if now == then:
        found = {name for name, tensor in saved.items() if tensor.shape[:1] == (now,)}
        one_layer = len({name.rpartition(".")[0] for name in found}) == 1
        certain = one_layer and not any(now in tensor.shape[1:] for tensor in saved.values())
        return found if certain and all(fresh[name].shape == saved[name].shape for name in saved) else set()
    found = {name for name in saved if fresh[name].shape != saved[name].shape}
    certain = all(
        (now, *saved[name].shape[1:]) == fresh[name].shape and saved[name].shape[:1] == (then,) for name in found
    )
    return found if certain else set()


# ---- the head in the folder itself ----


def at_root(start: Path, heads: Mapping[str, HeadSpec]) -> set[str]:
    """Names of the stock heads that may start from the head in the folder itself."""
    wanted = {
        name: spec.name
        for name, spec in heads.items()
        if spec.factory is None and not (start / "heads" / f"{name}.safetensors").is_file()
    }
    language = {name for name, kind in wanted.items() if kind in LANGUAGE}
    record = start / ROOT
    if record.is_file():
        try:
            return language | {json.loads(record.read_text("utf-8"))["root"]}
        except (ValueError, KeyError, TypeError) as error:
            raise PluginError(f"model: {record} does not name the folder's head; copy the model again") from error
    count = Counter(wanted.values())
    return language | {name for name, kind in wanted.items() if count[kind] == 1}


def is_of_kind(start: Path, spec: HeadSpec, architecture: str) -> bool:
    """Whether the folder's own head is of the kind that is asked for: classifiers of texts and of tokens have the same names."""
    saved = json.loads((start / "config.json").read_text("utf-8"))
    return spec.name in LANGUAGE or architecture in (saved.get("architectures") or [architecture])


def named_labels(start: Path) -> tuple[str, ...]:
    """The labels of the folder's own head; none where they are only numbered, as the library does by itself."""
    saved = json.loads((start / "config.json").read_text("utf-8"))
    names = [label for _, label in sorted((saved.get("id2label") or {}).items(), key=lambda item: int(item[0]))]
    return () if all(name == f"LABEL_{index}" for index, name in enumerate(names)) else tuple(names)
