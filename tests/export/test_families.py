"""Families of models and their heads are exported, and pass the export's own gates of structure and numbers.

The configurations are random and as small as each family allows; encoder-decoders are in tests/generation/test_seq2seq.py.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from hft_core import HeadSpec, PluginError
from hft_core.runtime.session import OnnxCall
from hft_core.runtime.text import TextPreprocessor
from hft_core.training.inference import torch_call
from hft_plugins.onnx.numbers import _cases, numbers_gates
from hft_plugins.onnx.structure import structure_gates
from hft_plugins.onnx.trace import trace
from hft_plugins.transformers import tokenizer
from hft_plugins.transformers.models import Bert, Gpt
from tests.repeats import times

TEXTS = ["the cat sat on the mat", "今天的菜很好吃，我们下次再来", "a dog 跑到门口 and barked at the door", "ok"]
LONGEST = 32
SIZES = {
    "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32,
    "max_position_embeddings": 64, "initializer_range": 0.5,
}  # fmt: skip
ENCODERS: dict[str, dict[str, Any]] = {
    "bert": {},
    "roberta": {"pad_token_id": 1, "type_vocab_size": 1},
    "xlm-roberta": {"pad_token_id": 1, "type_vocab_size": 1},
    "distilbert": {"n_layers": 1, "dim": 16, "n_heads": 2, "hidden_dim": 32},
    "electra": {"embedding_size": 8},
    "albert": {"embedding_size": 8},
    "mpnet": {"pad_token_id": 1},
    # As published: relative positions only, in buckets, shared keys, and a convolution beside the first layer.
    "deberta-v2": {
        "relative_attention": True, "position_buckets": 8, "pos_att_type": ["p2c", "c2p"], "share_att_key": True,
        "norm_rel_ebd": "layer_norm", "position_biased_input": False, "type_vocab_size": 0, "conv_kernel_size": 3,
        "conv_act": "gelu",
    },
    "modernbert": {
        "num_hidden_layers": 2, "local_attention": 8, "global_attn_every_n_layers": 2, "cls_token_id": 2,
        "sep_token_id": 3,
    },
}  # fmt: skip
DECODERS: dict[str, dict[str, Any]] = {
    "gpt2": {},
    "llama": {"num_key_value_heads": 1},
    "qwen3": {"num_key_value_heads": 1, "head_dim": 8},
}
HEADS = {
    "sequence-classification": HeadSpec("sequence-classification", size=3),
    "token-classification": HeadSpec("token-classification", size=5),
    "question-answering": HeadSpec("question-answering", size=2),
    "masked-lm": HeadSpec("masked-lm"),
    "causal-lm": HeadSpec("causal-lm"),
}
FIRST = {**dict.fromkeys(ENCODERS, "masked-lm"), **dict.fromkeys(DECODERS, "causal-lm")}
"""The language model's head of each family."""
OTHERS = ("sequence-classification", "token-classification", "question-answering")


def matrix() -> list[Any]:
    """Each family with its language model's head, the first encoder and decoder with all heads; thoroughly, each with all."""
    pairs = []
    for family, first in FIRST.items():
        others = OTHERS[: times(3 if family in ("bert", "gpt2") else 0, 3)]
        pairs += [pytest.param(family, head, id=f"{family}-{head}") for head in (first, *others)]
    return pairs


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Give ``folder(family)``: random weights with a language model's head, and a tokenizer of English and Chinese."""
    made: dict[str, Path] = {}

    def of(family: str) -> Path:
        if family not in made:
            made[family] = tmp_path_factory.mktemp(family)
            write(family, made[family])
        return made[family]

    return of


def write(family: str, folder: Path) -> None:
    decoder = family in DECODERS
    kind, of = ("bpe", "gpt") if decoder else ("wordpiece", "bert")
    preprocessor = tokenizer.for_scratch(tokenizer.train(kind, 320, TEXTS, of), of, LONGEST)
    end = preprocessor.special.get("eos")
    known = SIZES | {"vocab_size": preprocessor.vocabulary, "bos_token_id": end, "eos_token_id": end}
    own = {**ENCODERS, **DECODERS}.get(family, {})
    config = transformers.AutoConfig.for_model(family, **({"pad_token_id": preprocessor.pad_id} | known | own))
    auto: Any = transformers.AutoModelForCausalLM if decoder else transformers.AutoModelForMaskedLM
    torch.manual_seed(0)
    auto.from_config(config).save_pretrained(folder)
    preprocessor.save(folder)


def built(family: str, head: str, folder: Path) -> tuple[Any, TextPreprocessor, Any]:
    """Model, preprocessor and net."""
    kind = "gpt" if family in DECODERS else "bert"
    model = {"gpt": Gpt, "bert": Bert}[kind].model_validate(
        {"type": kind, "source": str(folder), "max_length": LONGEST}
    )
    preprocessor = model.preprocessor(folder, [])
    torch.manual_seed(1)
    return model, preprocessor, model.build(folder, preprocessor, {"main": HEADS[head]}).eval()


@pytest.mark.slow
@pytest.mark.parametrize(("family", "head"), matrix())
def test_it_passes_the_gates_of_an_export(family: str, head: str, folder: Any, tmp_path: Path) -> None:
    model, preprocessor, net = built(family, head, folder(family))
    [graph] = model.graphs(built(family, head, folder(family))[2], "main")
    file = tmp_path / "model.onnx"
    trace(graph, file, 20)
    calls = [torch_call(net, "main"), OnnxCall({"model": file})]
    made = numbers_gates(graph, *(partial(call, "model") for call in calls), preprocessor.vocabulary, LONGEST)
    made += structure_gates(graph, file, 20)
    assert [gate.complaint() for gate in made if not gate.passed] == []
    names = {gate.name for gate in made if gate.name.startswith("numbers")}
    outputs = ["start_logits", "end_logits"] if head == "question-answering" else ["logits"]
    assert names == {f"numbers: {output}" for output in outputs} | (
        {"numbers: cache"} if head == "causal-lm" else set()
    )

    cases = list(_cases(graph, preprocessor.vocabulary, LONGEST))
    assert len({case.partition(",")[0] for case, _ in cases}) >= 9
    assert {word for case, _ in cases for word in ("full", "right", "left", "hole") if f"{word} padding" in case} == {
        "full", "right", "left", "hole",
    }  # fmt: skip
    batch = preprocessor.pad(preprocessor.encode(TEXTS))
    wanted, found = (np.stack([call("model", **batch)[output] for output in outputs], -1).squeeze() for call in calls)
    seen = slice(None) if head == "sequence-classification" else batch["attention_mask"].astype(bool)
    assert np.abs(wanted - found)[seen].max() <= 1e-4 * max(1, np.abs(wanted).max())
    assert np.ptp(wanted[seen], axis=0).max() > 1e-3  # texts differ in it


def test_longformer_is_refused_with_words_that_say_what_to_do(tmp_path: Path, hft_here: Any) -> None:
    own = {"attention_window": 8, "pad_token_id": 1, "type_vocab_size": 1}
    preprocessor = tokenizer.for_scratch(tokenizer.train("wordpiece", 320, TEXTS, "bert"), "bert", LONGEST)
    config = transformers.LongformerConfig(**(SIZES | own | {"vocab_size": preprocessor.vocabulary}))
    transformers.LongformerForMaskedLM(config).save_pretrained(tmp_path)
    preprocessor.save(tmp_path)
    model, _, net = built("longformer", "sequence-classification", tmp_path)
    with pytest.raises(PluginError, match=r"longformer cannot be exported.*`modernbert`.*leave `export:` out"):
        model.graphs(net, "main")
    rows = "text,label\n" + "".join(f"text {row},{'ab'[row % 2]}\n" for row in range(8))
    (tmp_path / "rows.csv").write_text(rows, encoding="utf-8")
    recipe = {
        "name": "long",
        "data": {"train": {"type": "csv", "path": "rows.csv"}, "split": {"validation": 0.5}},
        "task": {"type": "text-classification"},
        "model": {"type": "bert", "source": str(tmp_path)},
        "stages": [{"stage": "finetune", "epochs": 1, "objectives": [{"type": "task", "data": "train"}]}],
        "export": [{"type": "onnx"}],
    }
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe), encoding="utf-8")
    planned = hft_here("plan", tmp_path / "recipe.yaml")
    assert planned.code == 4
    assert "export onnx: a longformer cannot be exported" in planned.err  # before anything is trained
