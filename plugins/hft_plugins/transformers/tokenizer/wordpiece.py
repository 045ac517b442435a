"""WordPiece (Devlin et al. 2019): words of pieces, the inner ones marked; Chinese characters one by one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

_INNER = "##"
"""What stands before a piece that continues a word."""


def trained(size: int, texts: Iterable[str], special: Sequence[str], unknown: str) -> Tokenizer:
    """Train twice, so that the same texts give the same tokens.

    The library numbers the single letters within words in an order that differs from process to process, and merges
    equally frequent pairs by number. The first training, without a merge, only finds these letters; the second gets them
    in order.
    """
    alphabet = _vocabulary(1, special, texts)
    inner = sorted(token for token in alphabet if token.startswith(_INNER) and token not in special)
    vocabulary = _vocabulary(size, [*special, *inner], texts)
    tokenizer = _empty(vocabulary, unknown)
    tokenizer.add_special_tokens([token for token in special if token in vocabulary])
    return tokenizer


def _vocabulary(size: int, first: Sequence[str], texts: Iterable[str]) -> dict[str, int]:
    """Give the ids of a trained vocabulary that begins with the tokens `first`."""
    tokenizer = _empty({}, first[0])
    trainer = trainers.WordPieceTrainer(vocab_size=size, special_tokens=list(first), show_progress=False)
    tokenizer.train_from_iterator(texts, trainer=trainer)
    return tokenizer.get_vocab(with_added_tokens=True)


def _empty(vocabulary: dict[str, int], unknown: str) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(vocab=vocabulary, unk_token=unknown, max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix=_INNER)
    return tokenizer
