"""Encoder-decoders write what transformers' `generate` writes: greedy and beams, in torch and ONNX Runtime."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from hft_core import HeadSpec, PluginError, RecipeError
from hft_core.runtime.session import OnnxCall
from hft_core.runtime.text import TextPreprocessor
from hft_core.training.inference import torch_call
from hft_plugins.onnx.numbers import numbers_gates
from hft_plugins.onnx.structure import structure_gates
from hft_plugins.onnx.trace import trace
from hft_plugins.text_to_text import runtime
from hft_plugins.transformers import tokenizer
from hft_plugins.transformers.models import T5

from .conftest import TEXTS

NEW = 16
LONGEST = 48
FORBIDDEN = 75
"""What the Marian would write otherwise."""


def saved(family: str, folder: Path) -> Path:
    """Two small layers with random weights, as a hub's folder has them, rules for generation included."""
    preprocessor = tokenizer.for_scratch(tokenizer.train("bpe", 320, TEXTS, "t5"), "t5", LONGEST)
    pad, end = preprocessor.pad_id, preprocessor.special["eos"]
    common = {"vocab_size": preprocessor.vocabulary, "pad_token_id": pad, "eos_token_id": end, "d_model": 32}
    stacks = {
        f"{stack}_{name}": size
        for stack in ("encoder", "decoder")
        for name, size in (("layers", 2), ("attention_heads", 4), ("ffn_dim", 64))
    }
    stacks |= {"max_position_embeddings": 64, "bos_token_id": end, "forced_eos_token_id": end, "init_std": 0.5}
    torch.manual_seed(0)
    model: Any
    if family == "t5":
        model = transformers.T5ForConditionalGeneration(
            transformers.T5Config(
                **common, d_kv=8, d_ff=64, num_layers=2, num_heads=4, decoder_start_token_id=pad, initializer_factor=3.0
            )
        )
    elif family == "bart":
        config = transformers.BartConfig(**common, **stacks, decoder_start_token_id=end)
        model = transformers.BartForConditionalGeneration(config)
        model.generation_config.forced_bos_token_id = 7
    else:
        config = transformers.MarianConfig(**common, **stacks | {"init_std": 1.0}, decoder_start_token_id=pad)
        model = transformers.MarianMTModel(config)
        for name, weights in model.named_parameters():
            weights.data *= 10 if "out_proj" in name else 1  # or it would write one token again and again
        model.generation_config.bad_words_ids = [[FORBIDDEN]]
    model.save_pretrained(folder)
    preprocessor.save(folder)
    return folder


class Pair:
    """A net, its tokenizer, and the same as graphs."""

    def __init__(self, family: str, folder: Path):
        self.model = T5.model_validate({"type": "t5", "source": str(saved(family, folder)), "max_length": LONGEST})
        self.preprocessor: TextPreprocessor = self.model.preprocessor(folder, [])
        heads = {"main": HeadSpec("seq2seq-lm")}
        self.net: Any = self.model.build(folder, self.preprocessor, heads).eval()
        traced: Any = self.model.build(folder, self.preprocessor, heads).eval()
        self.graphs = self.model.graphs(traced, "main")
        self.files = {graph.name: folder / f"{graph.name}.onnx" for graph in self.graphs}
        for graph in self.graphs:
            trace(graph, self.files[graph.name], 20)
        self.calls: dict[str, Any] = {"onnx": OnnxCall(self.files), "torch": torch_call(self.net, "main")}

    def batch(self, texts: list[str], new_tokens: int = NEW) -> dict[str, Any]:
        arrays = runtime.encode({"text": "text", "new_tokens": new_tokens}, {"text": texts}, self.preprocessor, {})
        return self.preprocessor.pad({name: array for name, array in arrays.items() if name != "row"})

    def written(self, texts: list[str], backend: str, **decoding: Any) -> list[list[int]]:
        settings = {"new_tokens": NEW, "decoding": decoding}
        found = runtime.predict(settings, self.calls[backend], self.batch(texts), {})["written"]
        return [found[row].tolist() for row in range(len(texts))]

    def generated(self, texts: list[str], **how: Any) -> list[list[int]]:
        """What transformers writes for one batch, by the settings that the weights' folder brings."""
        batch = self.preprocessor.pad(self.preprocessor.encode(texts))
        with torch.no_grad():
            whole = self.net.model.generate(
                **{name: torch.from_numpy(array) for name, array in batch.items()},
                do_sample=False, max_new_tokens=NEW, **how,
            )  # fmt: skip
        end = self.preprocessor.special["eos"]
        rows = whole[:, 1:].tolist()
        return [row[: row.index(end)] if end in row else row for row in rows]


@pytest.fixture(
    scope="module", params=["t5", *(pytest.param(name, marks=pytest.mark.slow) for name in ("bart", "marian"))]
)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return Pair(request.param, tmp_path_factory.mktemp(request.param))


@pytest.mark.parametrize("backend", ["onnx", "torch"])
@pytest.mark.parametrize(
    ("beams", "penalty", "early"), [(1, 1.0, False), (2, 1.0, False), (4, 1.0, True), (4, 0.0, False), (3, -1.0, False)]
)
@pytest.mark.parametrize("texts", [TEXTS, TEXTS[2:3]], ids=["five", "one"])
def test_it_writes_what_transformers_writes(
    pair: Pair, texts: list[str], beams: int, penalty: float, early: bool, backend: str
) -> None:
    more = {"length_penalty": penalty, "early_stopping": early} if beams > 1 else {}
    wanted = pair.generated(texts, num_beams=beams, **more)
    assert len({tuple(row) for row in wanted}) > (len(texts) > 1)
    assert pair.written(texts, backend, beams=beams, length_penalty=penalty, early_stopping=early) == wanted


def test_rules_of_the_weights_are_kept(pair: Pair) -> None:
    """Those of the folder's generation_config.json, which `generate` reads by itself."""
    special, family = pair.preprocessor.special, pair.net.model.config.model_type
    wanted = {"t5": set(), "bart": {"forced_first", "forced_last"}, "marian": {"forced_last", "never"}}[family]
    assert special.keys() & {"forced_first", "forced_last", "never"} == wanted
    rows = pair.written(TEXTS, "onnx")
    if family == "bart":
        assert {row[0] for row in rows} == {7}
    if family == "marian":
        without = runtime.predict(
            {"new_tokens": NEW, "decoding": {}},
            pair.calls["onnx"],
            pair.batch(TEXTS) | {"never": np.full(len(TEXTS), -1)},
            {},
        )
        assert FORBIDDEN in without["written"].values  # otherwise it would be no rule
        assert not any(FORBIDDEN in row for row in rows)
    assert all(len(row) < NEW for row in rows) or "forced_last" not in wanted


def test_the_encoder_is_run_once_and_gives_keys_and_values(pair: Pair) -> None:
    ran: list[str] = []

    def call(graph: str, /, **arrays: Any) -> dict[str, Any]:
        ran.append(graph)
        if graph == "decoder":
            assert arrays["decoder_input_ids"].shape[1] == 1  # one token at a time
        return pair.calls["onnx"](graph, **arrays)  # type: ignore[no-any-return]

    runtime.predict({"new_tokens": NEW, "decoding": {}}, call, pair.batch(TEXTS), {})
    assert ran.count("encoder") == 1
    assert 4 < ran.count("decoder") <= NEW
    encoder, decoder = pair.graphs
    layers = [f"present.{layer}.encoder.{kind}" for layer in (0, 1) for kind in ("key", "value")]
    assert list(encoder.outputs) == layers
    assert not [name for name in decoder.outputs if ".encoder." in name]  # they stay as they are
    weights = pair.net.model.state_dict()
    inside = pair.files["decoder"].stat().st_size + pair.files["decoder"].with_name("decoder.onnx_data").stat().st_size
    assert inside < 0.75 * sum(array.nbytes for array in {id(a): a for a in weights.values()}.values())


@pytest.mark.parametrize("name", ["encoder", "decoder"])
def test_the_graphs_pass_their_gates(pair: Pair, name: str) -> None:
    [graph] = [graph for graph in pair.graphs if graph.name == name]
    vocabulary = pair.preprocessor.vocabulary
    reference, exported = (partial(pair.calls[backend], name) for backend in ("torch", "onnx"))
    made = numbers_gates(graph, reference, exported, vocabulary, LONGEST)
    assert {gate.name for gate in made} == {"numbers: cache"} | ({"numbers: logits"} if name == "decoder" else set())
    assert [gate.complaint() for gate in made if not gate.passed] == []
    assert [gate.complaint() for gate in structure_gates(graph, pair.files[name], 20) if not gate.passed] == []


def test_what_cannot_be_written_is_refused(pair: Pair) -> None:
    with pytest.raises(RecipeError, match="new_tokens 49 is beyond the 48 tokens"):
        pair.batch(["a"], new_tokens=49)
    of_gpt = tokenizer.for_scratch(tokenizer.train("bpe", 300, TEXTS), "gpt", 48)
    with pytest.raises(PluginError, match="use the model `t5`"):
        runtime.encode({"text": "text", "new_tokens": 4}, {"text": ["a"]}, of_gpt, {})


def test_words_that_may_not_be_written_are_one_token(tmp_path: Path) -> None:
    folder = saved("marian", tmp_path)
    file = folder / "generation_config.json"
    file.write_text(file.read_text("utf-8").replace(f"{FORBIDDEN}", f"{FORBIDDEN}, 5"), "utf-8")
    with pytest.raises(PluginError, match="`bad_words_ids` of more than one token"):
        T5.model_validate({"type": "t5", "source": str(folder)}).preprocessor(folder, [])
