"""Parts over the families of transformers: what freezing, layer-wise rates and settling of heads rely on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import transformers

from hft_core import HeadSpec
from hft_plugins.transformers.build import fresh, graft
from hft_plugins.transformers.net import TransformersNet

SIZES: dict[str, Any] = {
    "vocab_size": 50,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 32,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
NARROW = {"embedding_size": 8}
DEBERTA = {
    "relative_attention": True,
    "pos_att_type": ["p2c", "c2p"],
    "norm_rel_ebd": "layer_norm",
    "position_biased_input": False,
    "conv_kernel_size": 3,
}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("masked-lm", {}),
    "roberta": ("masked-lm", {}),
    "distilbert": ("masked-lm", {}),
    "electra": ("masked-lm", NARROW),
    "albert": ("masked-lm", NARROW),
    "mpnet": ("masked-lm", {}),
    "deberta-v2": ("masked-lm", DEBERTA),
    "modernbert": ("masked-lm", {"cls_token_id": 1, "sep_token_id": 2}),
    "gpt2": ("causal-lm", {}),
    "llama": ("causal-lm", {"num_key_value_heads": 2}),
}


def made(family: str) -> TransformersNet:
    """A net of random weights with a classifier and a language-model head."""
    language, extra = FAMILIES[family]
    sizes = SIZES
    if family == "distilbert":
        sizes = {"vocab_size": 50, "dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32}
    config = transformers.AutoConfig.for_model(family, **(sizes | extra))
    heads = {"main": fresh(HeadSpec("sequence-classification"), config), language: fresh(HeadSpec(language), config)}
    backbone = heads["main"].base_model
    graft(backbone, heads, SimpleNamespace(pad_id=0))  # type: ignore[arg-type]  # all that it reads
    return TransformersNet(backbone, heads, frozenset())


def owners(net: TransformersNet) -> dict[str, str]:
    """The part of each parameter: the first that holds it."""
    owner: dict[int, str] = {}
    for part in net.parts():
        for parameter in part.module.parameters():
            owner.setdefault(id(parameter), part.name)
    return {name: owner.get(id(parameter), "none") for name, parameter in net.named_parameters()}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_parameter_lies_in_its_part(family: str) -> None:
    net = made(family)
    found = owners(net)
    assert [name for name, part in found.items() if part == "none"] == []
    backbone = {id(parameter) for parameter in net.backbone.parameters()}
    for name, parameter in net.named_parameters():
        if name.startswith("_heads.") and id(parameter) not in backbone:
            assert found[name] == f"head.{name.split('.')[1].removeprefix('head_')}", name
        else:
            assert found[name].partition(".")[0] in ("embeddings", "layer", "final"), name
    every = [id(parameter) for part in net.parts() if part.kind != "head" for parameter in part.module.parameters()]
    assert len(every) == len(set(every))  # no parameter of the backbone in two parts
    depths = [part.depth for part in net.parts()]
    assert depths == sorted(depths)


def test_what_layers_share_counts_to_the_embeddings() -> None:
    assert owners(made("mpnet"))["backbone.encoder.relative_attention_bias.weight"] == "embeddings"
    assert owners(made("albert"))["backbone.encoder.embedding_hidden_mapping_in.weight"] == "embeddings"
    deberta = owners(made("deberta-v2"))
    assert deberta["backbone.encoder.rel_embeddings.weight"] == "embeddings"
    assert deberta["backbone.encoder.LayerNorm.weight"] == "final"
    assert owners(made("gpt2"))["backbone.ln_f.weight"] == "final"
