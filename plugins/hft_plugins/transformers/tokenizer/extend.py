"""New whole words and characters for a tokenizer that cuts them up, or does not know them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from tokenizers import AddedToken, Tokenizer

_CHARACTER = (
    "[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff"
    "\U00020000-\U0003ffff]"
)
"""Scripts without spaces, where a character is taken for a word: Han, Kana, Thai, Lao, Tibetan, Burmese, Khmer."""
_WORD = re.compile(rf"{_CHARACTER}|(?:(?!{_CHARACTER})[^\W\d_])+")


def new_words(tokenizer: Tokenizer, unknown: int | None, texts: Iterable[str], size: int, minimum: int) -> list[str]:
    """Choose at most `size` words that occur at least `minimum` times in the texts, as the tokenizer's normaliser leaves them.

    A word (of letters, or a character of a script without spaces) is chosen if it is unknown or has two or more pieces;
    those first that save most pieces in all, an unknown one counting for one. The same texts give the same words.
    """
    counts: Counter[str] = Counter()
    normalizer = tokenizer.normalizer
    for text in texts:
        counts.update(_WORD.findall(normalizer.normalize_str(text) if normalizer is not None else text))
    frequent = sorted(word for word, count in counts.items() if count >= minimum)
    saved: dict[str, int] = {}
    for word, ids in zip(frequent, pieces(tokenizer, frequent), strict=True):
        each = len(ids) - 1 + (unknown in ids)
        if each > 0:
            saved[word] = each * counts[word]
    return sorted(saved, key=lambda word: (-saved[word], word))[:size]


def pieces(tokenizer: Tokenizer, words: Sequence[str]) -> list[list[int]]:
    """Give the tokens of each word as it stands within a text, without what stands for a space alone."""
    tokenizer.no_truncation()
    spaced = [word if re.fullmatch(_CHARACTER, word) else f" {word}" for word in words]
    space = {id for text in (" ", " a", "a") for id in _lone_spaces(tokenizer, text)}
    return [
        [id for id in encoding.ids if id not in space] or encoding.ids
        for encoding in tokenizer.encode_batch(spaced, add_special_tokens=False)
    ]


def _lone_spaces(tokenizer: Tokenizer, text: str) -> list[int]:
    encoding = tokenizer.encode(text, add_special_tokens=False)
    return [id for id, token in zip(encoding.ids, encoding.tokens, strict=True) if token in ("Ġ", "▁")]


def add(tokenizer: Tokenizer, words: Sequence[str]) -> None:
    """Add words as tokens that are found whole only, so that no other word is cut in another way than before.

    Words are looked for in normalised text; characters in the text as it is, for BERT's normaliser puts spaces around them.
    """
    alone = [re.fullmatch(_CHARACTER, word) is not None for word in words]
    tokenizer.add_tokens(
        [AddedToken(word, single_word=not one, normalized=not one) for word, one in zip(words, alone, strict=True)]
    )
