from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from hft_core.runtime.cleaning import clean
from hft_plugins.cleaners import html_runtime, unicode_runtime, whitespace_runtime
from hft_plugins.onnx.normalizer import HARD, absorb_steps

TEXTS = ["  a\u3000b \n", "好 吃", "a[SEP]b"]
SPECIAL = ["[CLS]", "[SEP]", "[UNK]"]


def bert() -> Tokenizer:
    words = ["[UNK]", "[CLS]", "[SEP]", *"abcdefg好吃很，。", "##a", "##b", "##f", "a\u200b"]
    tokenizer = Tokenizer(models.WordPiece({word: place for place, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", 1), ("[SEP]", 2)])
    return tokenizer


def bytes_level() -> Tokenizer:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: place for place, letter in enumerate(letters)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


@pytest.mark.parametrize("tokenizer", [bert(), bytes_level()], ids=["wordpiece", "bpe"])
def test_whitespace_goes_into_the_tokenizer(tokenizer: Tokenizer, tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    tokenizer.save(str(file))
    steps = [(whitespace_runtime, {})]
    special = SPECIAL if tokenizer.token_to_id("[SEP]") else []
    assert absorb_steps(file, steps, special, TEXTS)
    changed = Tokenizer.from_file(str(file))
    texts = [*HARD, *TEXTS]
    raw, cleaned = clean(texts, [])[0], clean(texts, steps)[0]
    assert raw != cleaned
    wanted = [encoding.ids for encoding in tokenizer.encode_batch(cleaned)]
    assert [encoding.ids for encoding in changed.encode_batch(raw)] == wanted
    if not special:  # one that keeps spaces, so the test could see them
        assert [encoding.ids for encoding in tokenizer.encode_batch(raw)] != wanted


def test_spaces_at_a_special_token_that_the_tokenizer_would_see_are_a_reason_not_to(tmp_path: Path) -> None:
    """A tokenizer cuts a text at special tokens before it normalises, so the pieces would lose their spaces."""
    tokenizer = bytes_level()
    tokenizer.add_special_tokens(["<|end|>"])
    file = tmp_path / "tokenizer.json"
    tokenizer.save(str(file))
    before = file.read_bytes()
    assert not absorb_steps(file, [(whitespace_runtime, {})], ["<|end|>"], TEXTS)
    assert file.read_bytes() == before


def wrong(settings: Any) -> list[dict[str, Any]]:
    return [{"type": "Replace", "pattern": {"String": "好"}, "content": "吃"}]


@pytest.mark.parametrize(
    "steps",
    [
        [],
        [(html_runtime, {})],
        [(whitespace_runtime, {}), (unicode_runtime, {"form": "NFC"})],
        [(SimpleNamespace(edits=lambda settings, texts: [[] for _ in texts], normalizer=wrong), {})],
    ],
    ids=["none", "no form", "one without a form", "a wrong form"],
)
def test_what_would_not_be_the_same_stays_out(steps: Any, tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    bert().save(str(file))
    before = file.read_bytes()
    assert not absorb_steps(file, steps, SPECIAL, TEXTS)
    assert file.read_bytes() == before
