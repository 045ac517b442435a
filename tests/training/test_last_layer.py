"""The last layer is trained for the tokens that a head reads, and the numbers are those of the whole layer."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers

from hft_plugins.transformers.net import TransformersNet

SMALL = {
    "vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24,
    "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "num_labels": 3, "pad_token_id": 0,
}  # fmt: skip
KINDS: dict[str, tuple[Any, str]] = {
    "bert": (transformers.BertConfig, "Bert"),
    "roberta": (transformers.RobertaConfig, "Roberta"),
    "xlm-roberta": (transformers.XLMRobertaConfig, "XLMRoberta"),
    "camembert": (transformers.CamembertConfig, "Camembert"),
    "electra": (transformers.ElectraConfig, "Electra"),
}
IDS = torch.tensor([[5, 6, 7, 8, 9, 10], [11, 12, 13, 14, 0, 0], [15, 16, 17, 0, 0, 0]])
MASK = (IDS != 0).long()


def net(kind: str, head: str) -> TransformersNet:
    config, prefix = KINDS[kind]
    torch.manual_seed(0)
    model = getattr(transformers, prefix + head)(config(**SMALL))
    made = TransformersNet(model.base_model, {"main": model}, frozenset())
    return made.train()


def computed(made: TransformersNet, **more: Any) -> tuple[torch.Tensor, list[torch.Tensor], int]:
    """The logits, all gradients of their weighted sum, and the tokens that the last layer's dense part has seen."""
    seen: list[int] = []
    dense = made.backbone.encoder.layer[-1].intermediate.dense
    hook = dense.register_forward_hook(lambda module, args, output: seen.append(output.shape[:-1].numel()))
    logits = made("main", **{"input_ids": IDS, "attention_mask": MASK, **more})["logits"]
    hook.remove()
    made.zero_grad()
    (logits * torch.linspace(-1, 1, logits.numel()).view_as(logits)).sum().backward()  # type: ignore[no-untyped-call]
    return logits.detach(), [p.grad.clone() for p in made.parameters() if p.grad is not None], seen[0]


def same(made: TransformersNet, tokens: int, **more: Any) -> None:
    part = computed(made, **more)
    made._last_layer.known = False
    whole = computed(made, **more)
    assert (part[2], whole[2]) == (tokens, IDS.numel())
    torch.testing.assert_close(part[0], whole[0], rtol=1e-5, atol=1e-6)
    assert len(part[1]) == len(whole[1])
    for mine, theirs in zip(part[1], whole[1], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_classifier_trains_it_for_the_first_tokens(kind: str) -> None:
    same(net(kind, "ForSequenceClassification"), tokens=3)


@pytest.mark.parametrize("way", ["sdpa", "eager"])
@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_the_first_token_asks_alone(kind: str, padded: bool, way: str) -> None:
    made = net(kind, "ForSequenceClassification")
    made.backbone.set_attn_implementation(way)
    asked: list[int] = []
    query = made._last_layer._attention.query
    query.register_forward_hook(lambda module, args, output: asked.append(output.shape[1]))
    whole = torch.ones_like(MASK)
    same(made, tokens=3, **({} if padded else {"attention_mask": whole}))
    assert asked == [1, IDS.shape[1]]
    assert "forward" not in vars(made._last_layer._attention)


@pytest.mark.parametrize("kind", KINDS)
def test_a_masked_language_model_trains_it_for_the_hidden_tokens(kind: str) -> None:
    same(net(kind, "ForMaskedLM"), tokens=4, positions=torch.tensor([1, 3, 8, 12]))


def test_without_a_hidden_token_nothing_fails() -> None:
    logits = net("bert", "ForMaskedLM")(
        "main", input_ids=IDS, attention_mask=MASK, positions=torch.tensor([], dtype=torch.long)
    )
    assert logits["logits"].shape == (1, 0, 40)


def test_heads_that_read_all_tokens_get_all() -> None:
    same(net("bert", "ForTokenClassification"), tokens=IDS.numel())


def test_evaluation_computes_everything() -> None:
    made = net("bert", "ForSequenceClassification").eval()
    assert computed(made)[2] == IDS.numel()
