"""New tokenizers: the same in every process, for each family of models, in English and Chinese."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hft_core import DataError
from hft_plugins.transformers import tokenizer
from hft_plugins.transformers.tokenizer.special import FAMILIES

KINDS = ["wordpiece", "bpe", "unigram"]
TRAIN = """
import json, sys
from hft_plugins.transformers import tokenizer
texts = json.load(open(sys.argv[2], encoding="utf-8"))
print(tokenizer.train(sys.argv[1], int(sys.argv[3]), texts, "t5").to_str())
"""


@pytest.mark.parametrize("kind", KINDS)
def test_other_processes_train_the_same_tokenizer(kind: str, texts: list[str], tmp_path: Path) -> None:
    file = tmp_path / "texts.json"
    rare = ["".join(map(chr, range(0x4E00 + start, 0x4E00 + start + 40))) for start in range(0, 400, 40)]
    file.write_text(json.dumps([*texts, *rare], ensure_ascii=False), encoding="utf-8")
    # Another number of threads, too: sums are made in another order.
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", TRAIN, kind, str(file), "700"], stdout=subprocess.PIPE, text=True,
            env={"RAYON_NUM_THREADS": threads, "PYTHONPATH": ":".join(sys.path), "PYTHONUTF8": "1"},
        )
        for threads in ("1", "2", "5")
    ]  # fmt: skip
    found = {process.communicate(timeout=120)[0] for process in processes}
    assert len(found) == 1
    assert len(json.loads(found.pop())["model"]["vocab"]) > 400


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", KINDS)
def test_special_tokens_are_those_of_the_family(kind: str, family: str, made: Any) -> None:
    preprocessor = made(kind, family)
    wanted = {role: token for role, token in FAMILIES[family].items() if not (kind == "bpe" and role == "unk")}
    found = {role: preprocessor.tokenizer.id_to_token(id) for role, id in preprocessor.special.items()}
    start = {"decoder_start": "<pad>"} if family == "t5" else {}
    assert found == wanted | start
    ids = preprocessor.tokenizer.encode("the walker").ids
    frame = {"bert": ("cls", "sep"), "gpt": (None, None), "t5": (None, "eos")}[family]
    assert (ids[0] == preprocessor.special.get("cls")) == (frame[0] == "cls")
    assert ids[-1] == preprocessor.special["sep" if family == "bert" else "eos"] or frame[1] is None
    assert preprocessor.pad_id == preprocessor.special["pad"]


@pytest.mark.parametrize("kind", KINDS)
def test_t5_has_its_sentinels(kind: str, made: Any) -> None:
    preprocessor = made(kind, "t5")
    ids = [preprocessor.tokenizer.token_to_id(f"<extra_id_{number}>") for number in range(100)]
    assert len(set(ids)) == 100
    assert None not in ids
    assert max(ids) == preprocessor.vocabulary - 1
    assert preprocessor.tokenizer.encode("the <extra_id_7> was").ids.count(ids[7]) == 1


def test_unigram_finds_words_in_chinese(made: Any) -> None:
    tokens = made("unigram", "t5").tokenizer.encode("下次还会再来，味道不错").tokens
    assert any(len(token.strip("▁")) > 1 for token in tokens)
    assert "".join(tokens[:-1]).strip("▁") == "下次还会再来,味道不错"  # NFKC: the comma is an ASCII one


@pytest.mark.parametrize("text", ["the walker talked about films.", "这家店的菜很好吃", "味道不错 nobody"])
def test_unigram_and_bpe_write_back_what_they_read(text: str, made: Any) -> None:
    for kind in ("unigram", "bpe"):
        inner = made(kind, "t5").tokenizer
        assert inner.decode(inner.encode(text).ids) == text


def test_a_character_that_was_never_seen_is_unknown(made: Any) -> None:
    preprocessor = made("unigram", "bert")
    assert preprocessor.unknown_rate(preprocessor.encode(["鑫鑫"])) > 0.2
    assert preprocessor.unknown_rate(preprocessor.encode(["味道不错"])) == 0


def test_more_characters_than_tokens_are_refused(texts: list[str]) -> None:
    many = [*texts, "".join(map(chr, range(0x4E00, 0x4E00 + 200)))]
    with pytest.raises(DataError, match=r"different characters, each of which needs a token; set `size:` .* above 2"):
        tokenizer.train("unigram", 120, many)


@pytest.mark.parametrize("nothing", [[], [""], [" ", "\n"]])
@pytest.mark.parametrize("kind", ["wordpiece", "unigram"])
def test_no_text_is_refused(kind: str, nothing: list[str]) -> None:
    with pytest.raises(DataError, match="the training texts are empty"):
        tokenizer.train(kind, 300, nothing)


def test_transformers_reads_the_tokenizer(made: Any, tmp_path: Path) -> None:
    from transformers import AutoTokenizer, T5Config

    preprocessor = made("unigram", "t5")
    preprocessor.save(tmp_path)
    T5Config(vocab_size=preprocessor.vocabulary).save_pretrained(tmp_path)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    text = "the walker 这家店的菜很好吃"
    assert theirs(text).input_ids == preprocessor.tokenizer.encode(text).ids
    assert (theirs.pad_token, theirs.eos_token, theirs.unk_token) == ("<pad>", "</s>", "<unk>")
