"""Marian's folders on the hub: two files of SentencePiece, one numbering; read as transformers reads them, and trained on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import hft_core
from hft_core import PluginError
from hft_core.runtime.text import TARGET, TextPreprocessor
from hft_plugins.transformers import tokenizer
from hft_plugins.transformers.tokenizer.marian import _FOREIGN as FOREIGN

sentencepiece = pytest.importorskip(
    "sentencepiece", reason="makes such folders, and is what transformers reads them by"
)
EXAMPLES = Path(__file__).parents[2] / "examples"
ENGLISH = (EXAMPLES / "quickstart" / "data" / "unlabelled.txt").read_text("utf-8").splitlines()
CHINESE = (EXAMPLES / "quickstart-zh" / "data" / "corpus.txt").read_text("utf-8").splitlines()
LANGUAGE = ">>cmn<<"
MIXED = ["我用 iPhone 拍的", "HELLO 世界", "Ünïcode 很好", *ENGLISH[:20]]
ODD = [
    "a </s> b",
    "tab\tand\u3000space",
    "",
    "  two   spaces ",
    "ﬁne ＡＢＣ １２",
    f"{LANGUAGE} Hello there.",
    f"{LANGUAGE}Hello",
    "a </s> b",
    "tab\tand\u3000space",
]


def pieces(texts: list[str], name: str, folder: Path, **how: Any) -> list[str]:
    """Train SentencePiece; gives its pieces."""
    corpus = folder / f"{name}.txt"
    corpus.write_text("\n".join(texts), encoding="utf-8")
    settings = {"vocab_size": 600, "character_coverage": 1.0, "hard_vocab_limit": False, "minloglevel": 2} | how
    sentencepiece.SentencePieceTrainer.train(input=str(corpus), model_prefix=str(folder / name), **settings)
    (folder / f"{name}.model").rename(folder / f"{name}.spm")
    corpus.unlink()
    (folder / f"{name}.vocab").unlink()
    read = sentencepiece.SentencePieceProcessor(str(folder / f"{name}.spm"))
    return [
        read.id_to_piece(id) for id in range(read.get_piece_size()) if not (read.is_control(id) or read.is_unknown(id))
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """From English to Chinese, with random weights, as `save_pretrained` leaves it."""
    import transformers

    made = tmp_path_factory.mktemp("opus-mt")
    both = {*pieces(ENGLISH, "source", made), *pieces(CHINESE, "target", made, vocab_size=2000)}
    vocabulary = ["</s>", "<unk>", *sorted(both), LANGUAGE, "<pad>"]
    (made / "vocab.json").write_text(json.dumps({piece: id for id, piece in enumerate(vocabulary)}), encoding="utf-8")
    config = {"source_lang": "eng", "target_lang": "cmn", "tokenizer_class": "MarianTokenizer"}
    (made / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    stacks = {
        f"{stack}_{name}": size
        for stack in ("encoder", "decoder")
        for name, size in (("layers", 1), ("attention_heads", 2), ("ffn_dim", 32))
    }
    pad = len(vocabulary) - 1
    torch.manual_seed(0)
    transformers.MarianMTModel(
        transformers.MarianConfig(
            vocab_size=len(vocabulary),
            pad_token_id=pad,
            decoder_start_token_id=pad,
            eos_token_id=0,
            forced_eos_token_id=0,
            d_model=16,
            max_position_embeddings=64,
            **stacks,
        )
    ).save_pretrained(made)
    rules = json.loads((made / "generation_config.json").read_text("utf-8"))
    (made / "generation_config.json").write_text(json.dumps(rules | {"bad_words_ids": [[pad]]}), encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def reference(folder: Path) -> Any:
    from transformers import MarianTokenizer

    return MarianTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def own(folder: Path) -> TextPreprocessor:
    return tokenizer.from_folder(folder, 64)


def known(id: int, encoder: TextPreprocessor) -> bool:
    return not str(encoder.tokenizer.id_to_token(id)).startswith(FOREIGN)


def test_what_is_read_and_what_is_written_have_the_tokens_of_transformers(
    own: TextPreprocessor, reference: Any
) -> None:
    for texts, encoder, name in ((ENGLISH + ODD, own, "text"), (CHINESE + MIXED, own.targets, "text_target")):
        found = encoder.encode(texts)["input_ids"]
        wanted = reference(**{name: texts}, truncation=True, max_length=64)["input_ids"]
        for row, (text, ids) in enumerate(zip(texts, wanted, strict=True)):
            # What only the other file has is unknown here, a character alone, too.
            assert found[row].tolist() == [id if known(id, encoder) else 1 for id in ids], text
    first, second = (words.encode(ENGLISH[:1])["input_ids"].values.tolist() for words in (own, own.targets))
    assert first != second  # they are two, indeed


def test_tokens_of_both_languages_become_text(own: TextPreprocessor, reference: Any) -> None:
    for texts, encoder in ((ENGLISH[:50], own), (CHINESE[:50], own.targets)):
        ids = encoder.encode(texts)["input_ids"]
        wanted = [reference.decode(ids[row].tolist(), skip_special_tokens=True) for row in range(len(texts))]
        assert own.decode(ids) == own.targets.decode(ids) == wanted


@pytest.mark.slow
def test_it_is_trained_exported_and_read_again(folder: Path, tmp_path: Path, proven: Any) -> None:
    rows = [{"source": one, "target": other} for one, other in zip(ENGLISH[:60], CHINESE[:60], strict=True)]
    for name, part in (("train", rows[:40]), ("dev", rows[40:])):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, part)), encoding="utf-8")
    recipe: dict[str, Any] = {
        "name": "first",
        "data": {"train": {"type": "jsonl", "path": "train.jsonl"}, "validation": {"type": "jsonl", "path": "dev.jsonl"}},
        "task": {"type": "text-to-text", "new_tokens": 8, "decoding": {"beams": 2}},
        "model": {"type": "t5", "source": str(folder), "max_length": 64},
        "stages": [{"stage": "finetune", "objectives": [{"type": "seq2seq", "data": "train", "too_long": "skip"}], "epochs": 1}],
        "export": [{"type": "onnx"}],
    }  # fmt: skip
    file = tmp_path / "recipe.json"
    file.write_text(json.dumps(recipe), encoding="utf-8")
    run = hft_core.run(file)
    proven(run.bundle)
    assert (run.model / TARGET).is_file()
    assert tokenizer.from_folder(run.model, 64).special["never"] == tokenizer.from_folder(folder, 64).pad_id
    file.write_text(
        json.dumps(recipe | {"name": "second", "model": {"type": "t5", "source": str(run.folder)}}), "utf-8"
    )
    again = hft_core.run(file, overrides=["export=[]"])
    kept = tokenizer.from_folder(again.model, 64)
    ids, wanted = (words.targets.encode(CHINESE)["input_ids"] for words in (kept, tokenizer.from_folder(folder, 64)))
    assert ids.values.tolist() == wanted.values.tolist()


def copied(folder: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    return copy


def test_what_is_no_such_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    copy = copied(folder, tmp_path)
    (copy / "vocab.json").write_text('{"a": 0, "b": 2}')
    with pytest.raises(PluginError, match=r"vocab\.json is no vocabulary of a Marian .*copy the model again"):
        tokenizer.from_folder(copy, None)
    (copy / "vocab.json").write_bytes((folder / "vocab.json").read_bytes())
    (copy / "target.spm").write_bytes(b"\xff\xff\xff")
    with pytest.raises(PluginError, match=r"target\.spm is no file of SentencePiece"):
        tokenizer.from_folder(copy, None)
    (copy / "target.spm").write_bytes(b"x\n")
    with pytest.raises(PluginError, match=r"target\.spm (has no pieces|is no file of SentencePiece)"):
        tokenizer.from_folder(copy, None)
    for how, why in (
        ({"model_type": "bpe"}, "by byte pairs"),
        ({"split_by_whitespace": False}, "over several words"),
        ({"add_dummy_prefix": False}, "keeps spaces"),
        ({"user_defined_symbols": ["[X]"]}, "has symbols of its user's"),
    ):
        (copy / "target.spm").unlink()
        pieces(CHINESE, "target", copy, vocab_size=2000, **how)
        with pytest.raises(PluginError, match=rf"target\.spm .*{why}.* which hft cannot convert"):
            tokenizer.from_folder(copy, None)
    (copy / "target.spm").write_bytes((folder / "target.spm").read_bytes())
    (copy / "tokenizer_config.json").write_text("{")
    with pytest.raises(PluginError, match=r"tokenizer_config\.json is not JSON"):
        tokenizer.from_folder(copy, None)
    (copy / "tokenizer_config.json").unlink()
    (copy / "target_vocab.json").write_bytes((copy / "vocab.json").read_bytes())
    with pytest.raises(PluginError, match="numbers the tokens of its two languages apart"):
        tokenizer.from_folder(copy, None)


def test_no_vocabulary_is_extended_for_two_tokenizers(folder: Path) -> None:
    from hft_plugins.transformers.models import T5

    model = T5.model_validate({"type": "t5", "source": str(folder), "extend_vocabulary": {"size": 10}})
    with pytest.raises(PluginError, match="this model has two"):
        model.preprocessor(folder, ENGLISH)
