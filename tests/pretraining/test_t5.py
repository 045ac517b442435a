"""Encoder-decoders: fresh ones and those of a folder, their parts, and their two graphs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from hft_core import HeadSpec, PluginError
from hft_plugins.transformers.models import T5

HEADS = {"span-corruption": HeadSpec("seq2seq-lm")}
CONFIG = {"hidden_size": 32, "num_attention_heads": 2, "d_ff": 64}


def scratch(made: Any, folder: Path) -> tuple[Any, Any, Any]:
    """Model, preprocessor and net of a fresh T5."""
    file = folder / "tokenizer.json"
    made("unigram", "t5", 250).tokenizer.save(str(file))
    source = {"scratch": "tiny", "tokenizer": file, "config": CONFIG}
    model = T5.model_validate({"type": "t5", "source": source, "max_length": 48})
    preprocessor = model.preprocessor(None, [])
    torch.manual_seed(0)
    return model, preprocessor, model.build(None, preprocessor, HEADS).eval()


@pytest.fixture(scope="module")
def fresh(made: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return scratch(made, tmp_path_factory.mktemp("t5"))


def bart(preprocessor: Any, folder: Path) -> Any:
    """A BART with that vocabulary, from its folder."""
    from transformers import BartConfig, BartForConditionalGeneration

    end, pad = preprocessor.special["eos"], preprocessor.pad_id
    config = BartConfig(
        vocab_size=preprocessor.vocabulary, d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=64, decoder_ffn_dim=64, max_position_embeddings=64, pad_token_id=pad,
        bos_token_id=end, eos_token_id=end, decoder_start_token_id=end, init_std=0.2,
    )  # fmt: skip
    torch.manual_seed(0)
    BartForConditionalGeneration(config).save_pretrained(folder)
    preprocessor.save(folder)
    model = T5.model_validate({"type": "t5", "source": str(folder)})
    read = model.preprocessor(folder, [])
    return model, read, model.build(folder, read, HEADS).eval()


@pytest.fixture(scope="module", params=["t5", "bart"])
def each(request: pytest.FixtureRequest, fresh: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return fresh if request.param == "t5" else bart(fresh[1], tmp_path_factory.mktemp("bart"))


def inputs(preprocessor: Any, texts: list[str]) -> dict[str, torch.Tensor]:
    batch = preprocessor.pad(preprocessor.encode(texts))
    arrays = {name: torch.from_numpy(array) for name, array in batch.items()}
    start = torch.full((len(texts), 1), preprocessor.special["decoder_start"])
    return arrays | {"decoder_input_ids": torch.cat([start, arrays["input_ids"][:, :5].flip(1)], 1)}


def test_a_fresh_one_has_the_wanted_size(fresh: Any) -> None:
    _, preprocessor, net = fresh
    config = net.model.config
    assert (config.model_type, config.d_model, config.num_layers, config.num_decoder_layers) == ("t5", 32, 2, 2)
    assert (config.d_kv, config.d_ff, config.vocab_size) == (16, 64, preprocessor.vocabulary)
    assert (config.decoder_start_token_id, config.eos_token_id) == (preprocessor.pad_id, preprocessor.special["eos"])


def test_positions_save_the_output_layer_the_rest(each: Any, texts: list[str]) -> None:
    _, preprocessor, net = each
    arrays = inputs(preprocessor, texts[:3])
    wanted = torch.tensor([0, 4, 9, 17])
    with torch.no_grad():
        whole = net("span-corruption", **arrays)["logits"]
        some = net("span-corruption", **arrays, positions=wanted)["logits"]
    assert some.shape == (1, 4, preprocessor.vocabulary)
    assert torch.allclose(some[0], whole.flatten(0, 1)[wanted], atol=1e-6)


def test_it_is_saved_as_the_librarys_own_and_read_again(each: Any, texts: list[str], tmp_path: Path) -> None:
    from transformers import AutoModelForSeq2SeqLM

    _, preprocessor, net = each
    net.save(tmp_path)
    preprocessor.save(tmp_path)
    again = T5.model_validate({"type": "t5", "source": str(tmp_path)})
    read = again.preprocessor(tmp_path, [])
    assert read.special == preprocessor.special
    restored = again.build(tmp_path, read, {"other": HeadSpec("seq2seq-lm")}).eval()
    assert restored.new_heads == frozenset()
    arrays = inputs(preprocessor, texts[:3])
    theirs = AutoModelForSeq2SeqLM.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        wanted = net("span-corruption", **arrays)["logits"]
        assert torch.equal(restored("other", **arrays)["logits"], wanted)
        assert torch.allclose(theirs(**arrays).logits, wanted, atol=1e-5)


def test_parts_hold_each_parameter(each: Any) -> None:
    _, _, net = each
    parts = net.parts()
    held = {id(parameter) for part in parts for parameter in part.module.parameters()}
    assert held == {id(parameter) for parameter in net.parameters()}
    assert [part.kind for part in parts][0 :: len(parts) - 1] == ["embeddings", "head"]
    names = [part.name for part in parts]
    assert [name for name in names if name[-1].isdigit()] == ["encoder.0", "encoder.1", "decoder.0", "decoder.1"]
    depths = [part.depth for part in parts]
    assert depths == sorted(depths)
    assert (depths[0], depths[-1]) == (0.0, 1.0)
    assert len(set(names)) == len(names)


def past_of(outputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.replace("present.", "past_key_values."): array for name, array in outputs.items()}


def test_two_graphs_token_by_token_are_one_pass(each: Any, texts: list[str]) -> None:
    _, preprocessor, net = each
    arrays = inputs(preprocessor, texts[:3])
    mask = arrays["attention_mask"]
    with torch.no_grad():
        wanted = net("span-corruption", **arrays)["logits"]
        read = past_of(net.run("span-corruption", "encoder", **arrays))
        at_once = net.run("span-corruption", "decoder", **arrays, **read)["logits"]
        past = read
        steps = []
        for column in arrays["decoder_input_ids"].T:
            found = net.run(
                "span-corruption",
                "decoder",
                decoder_input_ids=column[:, None],
                attention_mask=mask,
                **past,
            )
            steps.append(found.pop("logits"))
            past = read | past_of(found)
    assert torch.allclose(at_once, wanted, atol=1e-5)
    assert torch.allclose(torch.cat(steps, 1), wanted, atol=1e-5)


def test_a_mask_that_is_left_out_fails_the_gate(fresh: Any, tmp_path: Path, monkeypatch: Any) -> None:
    """The decoder's own tokens are compared whatever the mask of what it reads says."""
    from hft_plugins.onnx.numbers import numbers_gates

    model, preprocessor, net = fresh
    _, graph = model.graphs(net, "span-corruption")

    def run(change: float, **inputs: Any) -> Any:
        with torch.no_grad():
            found = graph.module(*(torch.from_numpy(inputs[name]) for name in graph.inputs))
        outputs = {name: array.numpy() for name, array in zip(graph.outputs, found, strict=True)}
        return {name: array + change * name.startswith("present.1") for name, array in outputs.items()}

    from functools import partial

    for change, passed in ((0.0, True), (0.1, False)):
        made = numbers_gates(graph, partial(run, 0.0), partial(run, change), preprocessor.vocabulary, 16)
        assert {gate.name: gate.passed for gate in made} == {"numbers: logits": True, "numbers: cache": passed}


@pytest.mark.parametrize("kind", ["masked-lm", "causal-lm", "sequence-classification"])
def test_other_heads_are_refused(kind: str, fresh: Any) -> None:
    model, preprocessor, _ = fresh
    with pytest.raises(PluginError, match=rf"t5 has the heads seq2seq-lm, found '{kind}'"):
        model.build(None, preprocessor, {"x": HeadSpec(kind)})


def test_weights_of_another_kind_are_refused(tmp_path: Path, made: Any) -> None:
    from transformers import BertConfig, BertModel

    preprocessor = made("wordpiece", "bert")
    config = BertConfig(
        vocab_size=preprocessor.vocabulary, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16,
    )  # fmt: skip
    BertModel(config).save_pretrained(tmp_path)
    preprocessor.save(tmp_path)
    model = T5.model_validate({"type": "t5", "source": str(tmp_path)})
    with pytest.raises(PluginError, match=r"no encoder-decoder|cannot be loaded as"):
        model.build(tmp_path, model.preprocessor(tmp_path, []), HEADS)


def test_weights_that_lack_layers_are_refused(fresh: Any, tmp_path: Path) -> None:
    import json

    _, preprocessor, net = fresh
    net.save(tmp_path)
    preprocessor.save(tmp_path)
    file = tmp_path / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | {"num_layers": 4}), "utf-8")
    model = T5.model_validate({"type": "t5", "source": str(tmp_path)})
    with pytest.raises(PluginError, match=r"lack .* parameters .* training would start from random numbers"):
        model.build(tmp_path, model.preprocessor(tmp_path, []), HEADS)


def test_a_tokenizer_without_an_end_is_refused(made: Any, tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    made("wordpiece", "bert").tokenizer.save(str(file))
    model = T5.model_validate({"type": "t5", "source": {"scratch": "tiny", "tokenizer": file}})
    with pytest.raises(PluginError, match="lacks <pad> or </s>"):
        model.preprocessor(None, [])
