"""The two tokenizers of a Marian folder: SentencePiece for what is read and for what is written, with common ids.

Such a folder has `source.spm`, `target.spm` and `vocab.json`, which numbers the pieces of both (Junczys-Dowmunt et al. 2018).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from hft_core import PluginError

_FILES = ("source.spm", "target.spm", "vocab.json")
_UNIGRAM = 1
"""How SentencePiece numbers that kind of model."""
_OF_THEIR_OWN = (4, 6)
"""Kinds of pieces: symbols that a user defined, and bytes."""
_FOREIGN = "\ue000"
"""Stands before pieces that only the other language has, so that no text is cut into them; a character of private use."""


def is_marian(folder: Path) -> bool:
    """Whether a folder has these files."""
    return all((folder / name).is_file() for name in _FILES)


def from_marian(folder: Path, settings: Mapping[str, Any], ids: dict[str, int]) -> tuple[Tokenizer, Tokenizer]:
    """Give the tokenizers for texts that are read, and for texts that are written. Raises PluginError for others than these.

    Both know all ids, so each turns any back into text. Texts have the tokens that transformers gives them, but for rarities: a
    piece that vocab.json does not number is left out, so that a text is cut into others, and is not unknown; a character that
    only the other file has is unknown even where it stands alone; a language (`>>fra<<`) counts wherever it stands, and one
    that the vocabulary lacks is text.

    Args:
        folder: has the two files of SentencePiece.
        settings: those of its tokenizer_config.json.
        ids: what vocab.json says.
    """
    if settings.get("separate_vocabs") or (folder / "target_vocab.json").is_file():
        raise PluginError(
            f"model: {folder} numbers the tokens of its two languages apart (`separate_vocabs`), and hft knows models with one "
            "vocabulary only; take another model"
        )
    numbers = sorted(number for number in ids.values() if isinstance(number, int))
    if numbers != list(range(len(ids))) or not {"</s>", "<unk>"} <= ids.keys():
        raise PluginError(
            f"model: {folder / 'vocab.json'} is no vocabulary of a Marian (it does not number pieces from 0 on, </s> and <unk> "
            "among them); copy the model again"
        )
    return _tokenizer(folder / "source.spm", ids), _tokenizer(folder / "target.spm", ids)


def _tokenizer(file: Path, ids: dict[str, int]) -> Tokenizer:
    """Unigram over the pieces of one file, by the ids of vocab.json; and what SentencePiece does before and after."""
    read = _read(file)
    scores = {piece.piece: piece.score for piece in read.pieces if piece.type == 1}  # no control and no unknown pieces
    lowest = min(scores.values(), default=0.0)  # that of an unknown character hangs on it
    special = [token for token in ("</s>", "<unk>", "<pad>") if token in ids]
    languages = [token for token in ids if token.startswith(">>") and token.endswith("<<")]  # such as >>fra<<
    own = scores.keys() | {*special, *languages}
    vocabulary = [
        (piece if piece in own else _FOREIGN + piece, scores.get(piece, lowest))
        for piece in sorted(ids, key=ids.__getitem__)
    ]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=ids["<unk>"]))
    steps: list[Any] = [normalizers.Replace(Regex(" {2,}"), " "), normalizers.Strip()]
    if table := read.normalizer_spec.precompiled_charsmap:
        steps.insert(0, normalizers.Precompiled(table))
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Sequence([decoders.Replace(_FOREIGN, ""), decoders.Metaspace(prepend_scheme="always")])
    tokenizer.post_processor = processors.TemplateProcessing("$A </s>", special_tokens=[("</s>", ids["</s>"])])
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in special])
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, rstrip=True) for token in languages])
    return tokenizer


def _read(file: Path) -> Any:
    """What a file of SentencePiece says."""
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # it has no types
    from transformers.convert_slow_tokenizer import import_protobuf

    read: Any = import_protobuf().ModelProto()  # type: ignore[no-untyped-call]  # it has no types
    try:
        read.ParseFromString(file.read_bytes())
    except DecodeError as error:
        raise PluginError(f"model: {file} is no file of SentencePiece ({error}); copy the model again") from error
    if (why := _unlike(read)) is not None:
        raise PluginError(f"model: {file} {why}, which hft cannot convert; save the model with a tokenizer.json")
    return read


def _unlike(read: Any) -> str | None:
    """What a file of SentencePiece does otherwise than what is converted here; None: nothing."""
    trainer, normalizer = read.trainer_spec, read.normalizer_spec
    if not read.pieces:
        return "has no pieces (is it a file of SentencePiece?)"
    if trainer.model_type != _UNIGRAM:
        return "cuts texts by byte pairs, words or characters, and not by `unigram`"
    if not trainer.split_by_whitespace:
        return "has pieces over several words (`split_by_whitespace: false`)"
    if not (normalizer.add_dummy_prefix and normalizer.remove_extra_whitespaces):
        return "keeps spaces as they are (`add_dummy_prefix`, `remove_extra_whitespaces`)"
    if any(piece.type in _OF_THEIR_OWN for piece in read.pieces):
        return "has symbols of its user's, or bytes"
    return None
