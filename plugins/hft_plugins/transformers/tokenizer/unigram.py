"""Unigram (Kudo 2018, as in SentencePiece): the pieces that make the text likeliest; spaces are part of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from hft_core import DataError

_DIGITS = 6
"""To which scores, logarithms of probabilities, are rounded."""

_STEP = 1e-4
"""What the library puts between the scores of the characters that it adds."""


def trained(size: int, texts: Iterable[str], special: Sequence[str], unknown: str) -> Tokenizer:
    """Train; words of languages without spaces, such as Chinese, are found in whole sentences.

    The same texts give the same tokens: the library finds the same pieces in each process, but sums their scores in an
    order that differs, and numbers the characters that training alone would have lost in another. So scores are rounded,
    those characters get one score, and pieces of equal score stand in the order of their characters.

    Raises DataError where the texts have more different characters than there may be tokens.
    """
    tokenizer = _empty(models.Unigram())
    trainer = trainers.UnigramTrainer(
        vocab_size=size, special_tokens=list(special), unk_token=unknown, show_progress=False
    )
    try:
        tokenizer.train_from_iterator(texts, trainer=trainer)
    except Exception as error:  # tokenizers raises a bare Exception
        raise _refusal(size, texts, special, error) from error
    found: list[tuple[str, float]] = [
        (piece, score) for piece, score in json.loads(tokenizer.to_str())["model"]["vocab"] if piece not in special
    ]
    lowest = min((score for _, score in found), default=0.0)
    scores = {
        piece: round(lowest if _put_back(piece, score - lowest, len(found)) else score, _DIGITS)
        for piece, score in found
    }
    pieces = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
    vocabulary = [*((token, 0.0) for token in special), *pieces]
    made = _empty(models.Unigram(vocabulary, unk_id=list(special).index(unknown)))
    made.add_special_tokens(list(special))
    return made


def _put_back(piece: str, above: float, pieces: int) -> bool:
    """Whether the library added a piece for the sake of its character.

    These have the lowest score of all, and so many steps above it as were added before.
    """
    steps = above / _STEP
    return len(piece) == 1 and round(steps) < pieces and abs(steps - round(steps)) < 1e-4


def _empty(model: models.Unigram) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    return tokenizer


def _refusal(size: int, texts: Iterable[str], special: Sequence[str], error: Exception) -> Exception:
    """Say what the training failed for; mostly, that each character needs a token of its own."""
    tokenizer = _empty(models.Unigram())
    assert tokenizer.normalizer is not None
    characters = {character for text in texts for character in tokenizer.normalizer.normalize_str(text)}
    needed = len(characters) + len(special) + 1
    if needed <= size:
        return error
    return DataError(
        f"model: the training texts have {len(characters)} different characters, each of which needs a token; set "
        f"`size:` of the tokenizer above {needed} (now {size}), or take `bpe`, which is made of bytes"
    )
