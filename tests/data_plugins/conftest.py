"""What tests of augmenters share."""

from __future__ import annotations

from pathlib import Path

import pytest

from hft_plugins.augmenters.words import words

from .augmenting import CHINESE, ENGLISH

TABLE = "好吃\t美味|可口\n外卖\t外送\n味道\t口味\n价格\t价钱\n态度\t神态\n时候\t时刻\n"
HOMOPHONES = "吃\t痴|迟\n快\t块\n味\t未|位\n面\t棉\n时\t十\n度\t渡\n"


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny BERT and a tiny T5 with vocabularies of the shared texts, and two tables."""
    torch = pytest.importorskip("torch")
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

    root = tmp_path_factory.mktemp("models")
    pieces = sorted({match[0].lower() for text in ENGLISH + CHINESE for match in words(text)})
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *pieces, *".,!。，！"]
    ids = {piece: number for number, piece in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]", eos_token="[SEP]", model_max_length=64,
    )  # fmt: skip
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertForMaskedLM(BertConfig(vocab_size=len(vocabulary), **sizes)).save_pretrained(root / "bert")
    T5ForConditionalGeneration(
        T5Config(
            vocab_size=len(vocabulary), d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, pad_token_id=0,
            eos_token_id=3, decoder_start_token_id=0,
        )
    ).save_pretrained(root / "t5")  # fmt: skip
    for name in ("bert", "t5"):
        fast.save_pretrained(root / name)
    (root / "zh.tsv").write_text(TABLE, encoding="utf-8")
    (root / "sounds.tsv").write_text(HOMOPHONES, encoding="utf-8")
    return {name: root / name for name in ("bert", "t5", "zh.tsv", "sounds.tsv")}
