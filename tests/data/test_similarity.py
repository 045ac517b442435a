"""Near duplicates against a plain brute force over sets of strings."""

from __future__ import annotations

import random
import unicodedata
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from hft_core.components import Roles
from hft_core.data.likeness import alike
from hft_core.data.similarity import TextIndex


def ngrams(text: str, size: int = 5) -> set[str]:
    """What the index promises, written plainly: letters, digits and marks, shorter towards the end, half in Chinese."""
    kept = []
    for character in text:
        if unicodedata.category(character)[0] in "LNM":
            plain = unicodedata.normalize("NFKC", character).lower()
            kept.append(plain if len(plain) == 1 else character)
    letters = "".join(kept) or "".join(text.split())
    dense = [any(low <= ord(c) < high for low, high in ((0x3040, 0xA000), (0xAC00, 0xD7A4))) for c in letters]
    return {letters[i : i + ((size + 1) // 2 if dense[i] else size)] for i in range(len(letters))}


def brute_force(texts: list[str], threshold: float) -> dict[tuple[int, int], float]:
    sets = [ngrams(text) for text in texts]
    found = {}
    for left, right in combinations(range(len(texts)), 2):
        union = len(sets[left] | sets[right])
        similarity = len(sets[left] & sets[right]) / union if union else 0.0
        if similarity >= threshold:
            found[left, right] = similarity
    return found


def all_pairs(texts: list[str], threshold: float) -> dict[tuple[int, int], float]:
    """What the index found, with the pairs among equal rows written out."""
    index = TextIndex(threshold)
    for start in range(0, len(texts), 100):  # several batches
        index.add(texts[start : start + 100])
    found = index.pairs()
    members: dict[int, list[int]] = {}
    for row, first in enumerate(found.first.tolist()):
        members.setdefault(first, []).append(row)
    result = {pair: 1.0 for group in members.values() for pair in combinations(group, 2)}
    for (left, right), similarity in zip(found.rows.tolist(), found.similarity.tolist(), strict=True):
        for one in members[left]:
            for other in members[right]:
                result[min(one, other), max(one, other)] = similarity
    return result


def varied(seed: int, alphabet: str, separator: str) -> list[str]:
    """Texts of 1 to 60 words, and copies with a few characters changed, dropped or doubled."""
    draw = random.Random(seed)
    texts: list[str] = []
    while len(texts) < 500:
        words = ["".join(draw.choices(alphabet, k=draw.randint(1, 6))) for _ in range(draw.randint(1, 30))]
        text = separator.join(words)
        texts.append(text)
        for _ in range(draw.randint(0, 3)):
            changed = list(text)
            for _ in range(draw.randint(0, 3)):
                changed[draw.randrange(len(changed))] = draw.choice([*alphabet, "", "! "])
            texts.append("".join(changed))
    return texts


@pytest.mark.parametrize(
    ("alphabet", "separator"),
    [("abcdefghijklmnop", " "), ("的一是了我不人在他有这中大来上国个到说们好吃味道", ""), ("abcＡ好吃１éж", " ")],
    ids=["latin", "chinese", "mixed"],
)
@pytest.mark.parametrize("threshold", [0.6, 0.8])
def test_nearly_all_pairs_are_found_and_no_other(alphabet: str, separator: str, threshold: float) -> None:
    texts = varied(3, alphabet, separator)
    expected, found = brute_force(texts, threshold), all_pairs(texts, threshold)
    assert len(expected) > 200
    assert found.keys() <= expected.keys()
    assert all(found[pair] == pytest.approx(expected[pair]) for pair in found)
    assert len(found) >= 0.99 * len(expected)


def test_short_empty_and_odd_texts() -> None:
    texts = ["好", "好！", "a", "A.", "", "   ", "!!!", "!!! ", "😀", "😁", "\ud800", "é", "É", "ab"]
    found = TextIndex()
    found.add(texts)
    assert found.pairs().first.tolist() == [0, 0, 2, 2, 4, 5, 6, 6, 8, 9, 10, 11, 11, 13]
    assert len(found.pairs().rows) == 0
    empty = TextIndex().pairs()
    assert len(empty.first) == len(empty.rows) == 0


def test_groups_are_not_compared() -> None:
    index = TextIndex()
    index.add(["the very same text", "the very same text"], groups=[1, 2])
    assert index.pairs().first.tolist() == [0, 1]
    assert len(index.pairs().rows) == 0


def test_a_large_bucket_of_boilerplate_takes_no_square() -> None:
    """Each of 3,000 rows is like all others: its neighbours are compared, and still every row but one is found."""
    index = TextIndex()
    index.add(
        [
            f"此用户没有填写评论，系统默认好评，感谢您对本店的支持，欢迎下次光临{chr(0x4E00 + row)}"
            for row in range(3_000)
        ]
    )
    found = index.pairs()
    assert len(np.unique(found.rows[:, 1])) == 2_999
    assert len(found.rows) < 3_000 * 500


def test_alike_between_and_within_splits() -> None:
    def rows(*texts: str) -> list[dict[str, list[str]]]:
        return [{"text": [text]} for text in texts]

    review = "送餐很快，味道也不错，下次还会再来的，推荐给大家，包装用心，分量也足，两个人吃刚刚好"
    found = alike(
        {
            "train": rows(review, "the plot was thin", "nothing like it"),
            "test": rows(review + "！", "The plot was thin.", "另外一条完全不同的评论", review + "啊"),
        },
        Roles(text=("text",)),
    )
    assert found["train", "test"].tolist() == [True, True, False, True]
    assert found["test", "train"].tolist() == [True, True, False]
    assert found["train", "train"].tolist() == [False] * 3
    assert found["test", "test"].tolist() == [False, False, False, True]


def test_real_reviews(data_dir: Path) -> None:
    """The first 1,200 Chinese reviews of waimai_10k, by brute force too."""
    lines = (data_dir / "waimai_10k" / "waimai_10k.csv").read_text("utf-8").splitlines()[1:1201]
    texts = [line.partition(",")[2] for line in lines]
    expected, found = brute_force(texts, 0.5), all_pairs(texts, 0.5)
    assert len(expected) > 5
    assert found.keys() <= expected.keys()
    assert len(found) >= 0.99 * len(expected)
