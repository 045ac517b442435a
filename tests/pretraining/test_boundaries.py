"""Documents that are packed into one block do not see each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hft_core import HeadSpec, PluginError, RowRandom
from hft_plugins.transformers.causal_lm import CausalLM
from hft_plugins.transformers.models import Gpt

HEADS = {"causal-lm": HeadSpec("causal-lm")}


def causal(**settings: Any) -> CausalLM:
    return CausalLM.model_validate({"type": "causal-lm", "data": "corpus"} | settings)


def batch_of(objective: CausalLM, preprocessor: Any, stream: Any, texts: list[str]) -> Any:
    context = stream(preprocessor)
    arrays = objective.encode({"text": texts}, context)
    count = len(arrays["row"])
    made = objective.batch(arrays, RowRandom(0, np.arange(count)), context)
    return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in made.items()}


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def scratch(request: pytest.FixtureRequest, made: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A fresh decoder with its tokenizer."""
    file = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    made("bpe", "gpt", 320).tokenizer.save(str(file))
    config = {"hidden_size": 32, "num_attention_heads": 2, "max_position_embeddings": 64}
    model = Gpt.model_validate(
        {
            "type": "gpt",
            "source": {"scratch": "tiny", "tokenizer": file, "architecture": request.param, "config": config},
        }
    )
    preprocessor = model.preprocessor(None, [])
    torch.manual_seed(0)
    net = model.build(None, preprocessor, HEADS)
    assert net.backbone.config.model_type == request.param
    with torch.no_grad():  # far from the small numbers of a fresh net, so that what is seen shows
        for parameter in net.parameters():
            parameter.mul_(3)
    return preprocessor, net.eval()


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_a_packed_document_has_the_logits_that_it_has_alone(
    attention: str, scratch: Any, stream: Any, texts: list[str]
) -> None:
    preprocessor, net = scratch
    net.heads["causal-lm"].set_attn_implementation(attention)
    some = [text for text in texts if len(preprocessor.tokenizer.encode(text).ids) < 25][:9]
    batch = batch_of(causal(block=64), preprocessor, stream, some)
    inputs = {name: batch[name] for name in ("input_ids", "position_ids")}
    with torch.no_grad():
        packed = net("causal-lm", **inputs)["logits"].flatten(0, 1)
    starts = (batch["position_ids"].flatten() == 0).nonzero().flatten().tolist()
    ends = [*starts[1:], batch["input_ids"].numel()]
    compared = 0
    for start, end in zip(starts, ends, strict=True):
        ids = batch["input_ids"].flatten()[start:end][None]
        if (ids == preprocessor.pad_id).all():
            continue
        with torch.no_grad():
            alone = net("causal-lm", input_ids=ids, attention_mask=torch.ones_like(ids))["logits"][0]
        assert (packed[start:end] - alone).abs().max() < 1e-5
        compared += 1
    assert compared >= 9
    with torch.no_grad():  # without boundaries it is another matter
        mixed = net("causal-lm", input_ids=batch["input_ids"], attention_mask=torch.ones_like(batch["input_ids"]))
    assert (mixed["logits"].flatten(0, 1)[starts[1] : ends[1]] - packed[starts[1] : ends[1]]).abs().max() > 0.01


def test_no_document_is_predicted_from_the_end_of_another(made: Any, stream: Any, texts: list[str]) -> None:
    preprocessor = made("bpe", "gpt", 320)
    end = preprocessor.special["eos"]
    apart = batch_of(causal(block=32), preprocessor, stream, texts[:20])
    joined = batch_of(causal(block=32, boundaries=False), preprocessor, stream, texts[:20])
    assert "attention_mask" not in apart
    assert "position_ids" not in joined
    ids = apart["input_ids"].flatten()
    assert not (ids[apart["positions"]] == end).any()
    assert (ids[joined["positions"]] == end).sum() > 10
    missing = np.setdiff1d(joined["positions"], apart["positions"])
    assert (ids[missing] == end).all()  # nothing else is left out
    assert (apart["targets"] == ids[apart["positions"] + 1]).all()


def test_positions_begin_again_with_each_document_block_and_padding(made: Any, stream: Any) -> None:
    preprocessor = made("bpe", "gpt", 320, 16)
    texts = ["the walker", "films " * 12, "", "in"]
    lengths = [len(preprocessor.tokenizer.encode(text).ids) + 1 for text in ("the walker", "in")]
    batch = batch_of(causal(block=16), preprocessor, stream, texts)
    positions = batch["position_ids"]
    assert positions[:, 0].tolist() == [0] * len(positions)
    assert positions[0, : lengths[0] + 1].tolist() == [*range(lengths[0]), 0]
    assert positions[1].tolist() == list(range(16)) or 0 in positions[1, 1:].tolist()
    ids, pad = batch["input_ids"], preprocessor.pad_id
    padding = (ids[-1] == pad).sum()
    assert padding > 0
    assert positions[-1, -padding:].tolist() == list(range(padding))
    last = lengths[1]
    assert positions[-1, -padding - last : -padding].tolist() == list(range(last))


def test_a_model_that_cannot_is_refused_before_the_first_step(tmp_path: Path, made: Any, stream: Any) -> None:
    """BLOOM has no positions that could begin again."""
    from transformers import BloomConfig, BloomForCausalLM

    preprocessor = made("bpe", "gpt", 320)
    config = BloomConfig(vocab_size=preprocessor.vocabulary, hidden_size=16, n_layer=1, n_head=2)
    BloomForCausalLM(config).save_pretrained(tmp_path)
    preprocessor.save(tmp_path)
    model = Gpt.model_validate({"type": "gpt", "source": str(tmp_path)})
    read = model.preprocessor(tmp_path, [])
    net = model.build(tmp_path, read, HEADS)
    batch = batch_of(causal(block=32), read, stream, ["the walker", "films"] * 8)
    with pytest.raises(PluginError, match=r"a bloom does not keep the documents .* apart; set `boundaries: false`"):
        net("causal-lm", **{name: array for name, array in batch.items() if name != "targets"})
    whole = batch_of(causal(block=32, boundaries=False), read, stream, ["the walker", "films"] * 8)
    net("causal-lm", **{name: array for name, array in whole.items() if name != "targets"})


def test_a_model_that_reads_positions_but_not_documents_is_refused(scratch: Any) -> None:
    """What a model does is tried, not believed."""
    from hft_plugins.transformers.packing import Packing

    _, net = scratch

    class Blind(torch.nn.Module):
        def __init__(self, inner: Any):
            super().__init__()
            self.inner, self.config = inner, inner.config
            self.get_input_embeddings = inner.get_input_embeddings

        def forward(self, input_ids: Any, position_ids: Any, use_cache: bool = False) -> Any:
            mask = torch.ones_like(input_ids)
            return self.inner(input_ids=input_ids, position_ids=position_ids, attention_mask=mask, use_cache=use_cache)

    Packing().need(net.heads["causal-lm"], {"use_cache": False})
    with pytest.raises(PluginError, match="set `boundaries: false`"):
        Packing().need(Blind(net.heads["causal-lm"]), {"use_cache": False})


def test_trying_it_leaves_a_net_in_training_as_it_was(scratch: Any, stream: Any, texts: list[str]) -> None:
    from hft_plugins.transformers.packing import Packing

    _, net = scratch
    net.train()
    before = torch.get_rng_state()
    Packing().need(net.heads["causal-lm"], {"use_cache": False})
    assert all(module.training for module in net.modules())
    assert torch.equal(torch.get_rng_state(), before)
    net.eval()
