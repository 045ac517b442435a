from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from hft_core import DataError, Refusal
from hft_plugins.readers.conll import ConllReader


def read(folder: Path, content: str | bytes, **settings: Any) -> tuple[list[str], list[Any], list[int], list[Refusal]]:
    """Texts, entities as (text, type), places, refusals."""
    path = folder / "a.conll"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    texts: list[str] = []
    entities: list[Any] = []
    places: list[int] = []
    refusals: list[Refusal] = []
    for part in ConllReader(type="conll", path=path, **settings).read():
        if isinstance(part, Refusal):
            refusals.append(part)
            continue
        assert list(part.columns) == ["text", "entities"]
        texts += part.columns["text"]
        places += part.places
        entities += [
            [(text[one["start"] : one["end"]], one["type"]) for one in found]
            for text, found in zip(part.columns["text"], part.columns["entities"], strict=True)
        ]
    return texts, entities, places, refusals


def test_sentences_between_blank_lines(tmp_path: Path) -> None:
    content = "\n\nAnna\tB-per\nSmith\tI-per\nleft\tO\n\t\n  \nParis\tB-creative-work\n"
    texts, entities, places, refusals = read(tmp_path, content)
    assert texts == ["Anna Smith left", "Paris"]
    assert entities == [[("Anna Smith", "per")], [("Paris", "creative-work")]]
    assert places == [3, 8]
    assert not refusals


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("separator", ["\t", " ", "   "])
def test_columns(separator: str, ending: str, tmp_path: Path) -> None:
    lines = [("EU", "NNP", "B-NP", "B-ORG"), ("rejects", "VBZ", "B-VP", "O")]
    content = "\ufeff-DOCSTART- -X- O O" + ending * 2 + "".join(separator.join(line) + ending for line in lines)
    assert read(tmp_path, content)[:3] == (["EU rejects"], [[("EU", "ORG")]], [3])
    assert read(tmp_path, content, tag=3)[1] == [[("EU", "NP"), ("rejects", "VP")]]
    assert read(tmp_path, content, token=2, tag=-1)[0] == ["NNP VBZ"]


# A B B B | C C | C, of types x, y, y: the same entities in every scheme
SCHEMES = {
    "IOB1": "I-x O I-x I-x I-x O I-y I-y B-y",
    "BIO": "B-x O B-x I-x I-x O B-y I-y B-y",
    "BIOES": "S-x O B-x I-x E-x O B-y E-y S-y",
    "BMES": "S-x O B-x M-x E-x O B-y E-y S-y",
    "BILOU": "U-x O B-x I-x L-x O B-y L-y U-y",
    "IOE2": "E-x O I-x I-x E-x O I-y E-y E-y",
}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_schemes(scheme: str, tmp_path: Path) -> None:
    tags = SCHEMES[scheme].split()
    content = "".join(f"t{number}\t{tag}\n" for number, tag in enumerate(tags))
    _, entities, _, refusals = read(tmp_path, content)
    assert entities == [[("t0", "x"), ("t2 t3 t4", "x"), ("t6 t7", "y"), ("t8", "y")]]
    assert not refusals


def test_an_entity_begins_where_the_type_changes(tmp_path: Path) -> None:
    assert read(tmp_path, "a B-x\nb I-y\nc I-y\nd O\ne I-y\n")[1] == [[("a", "x"), ("b c", "y"), ("e", "y")]]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"alone", "missing-tag"),
        (b"\tO", "missing-token"),
        (b"word\tX-per", "unknown-tag"),
        (b"word\tB", "unknown-tag"),
        (b"word\tB-", "unknown-tag"),
        (b"word\tper", "unknown-tag"),
        (b"w\xffrd\tO", "invalid-utf8"),
        (b"w\0rd\tO", "nul-byte"),
    ],
)
def test_a_bad_line_refuses_its_sentence(line: bytes, reason: str, tmp_path: Path) -> None:
    texts, _, places, [refusal] = read(tmp_path, b"a\tO\n\nb\tO\n" + line + b"\nc\tO\n\nd\tB-x\n")
    assert texts == ["a", "d"]
    assert places == [1, 7]
    assert (refusal.place, refusal.reason) == (3, reason)
    assert refusal.detail.startswith("line 4: ")
    assert refusal.raw == b"b\tO\n" + line + b"\nc\tO\n"


def test_comments_and_hashes(tmp_path: Path) -> None:
    content = "# id 7\tdomain=train\n# text = x\n#\tO\nAnna\tB-per\n\n# only a comment\n\n#1 O\nx O\n# oops\n"
    texts, _, _, [refusal] = read(tmp_path, content)
    assert texts == ["# Anna"]
    assert refusal.reason == "unknown-tag"


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ("吴 重 阳 ， 1 9 6 6 年", "吴重阳，1966年"),
        ("他 在 A B C 大 学 读 M B A 学 位", "他在ABC大学读MBA学位"),
        ("他 用 iPhone 7 和 Mac OS 上 网 看 书", "他用iPhone 7和Mac OS上网看书"),
        ("中国 国籍 ， 大学 本科", "中国国籍，大学本科"),
        ("すし が 好き", "すしが好き"),
        ("저는 서울에 살아요", "저는 서울에 살아요"),
        ("I met 吴重阳 in Paris", "I met 吴重阳 in Paris"),
        ("1 + 1", "1 + 1"),
    ],
)
def test_joining(tokens: str, text: str, tmp_path: Path) -> None:
    content = "".join(f"{token} O\n" for token in tokens.split())
    assert read(tmp_path, content)[0] == [text]
    assert read(tmp_path, content, joiner="_")[0] == [tokens.replace(" ", "_")]


def test_random_files_come_back(tmp_path: Path) -> None:
    draw = random.Random(0)
    words = ["a", "Anna", "吴", "重", "，", "7", "New", "😀", "--", "é"]
    for joiner in (None, "", " "):
        sentences = [
            [(draw.choice(words), draw.choice(["O", "B-x", "I-x", "S-y"])) for _ in range(draw.randint(1, 9))]
            for _ in range(50)
        ]
        content = "\n".join("".join(f"{token}\t{tag}\n" for token, tag in sentence) for sentence in sentences)
        texts, entities, places, refusals = read(tmp_path, content, joiner=joiner)
        assert not refusals
        assert len(places) == 50
        for text, found, sentence in zip(texts, entities, sentences, strict=True):
            assert text.replace(" ", "") == "".join(token for token, _ in sentence)
            tagged = "".join(token for token, tag in sentence if tag != "O")
            assert "".join(one for one, _ in found).replace(" ", "") == tagged


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [({"tag": 0}, "counted from 1"), ({"token": 2, "tag": 2}, "both column 2"), ({"colum": 2}, "colum")],
)
def test_settings_that_do_not_fit(settings: Any, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=complaint):
        ConllReader(type="conll", path=tmp_path / "a", **settings)


def test_an_empty_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="empty"):
        read(tmp_path, " \n\n")


@pytest.mark.parametrize(
    ("file", "sentences", "entities", "one"),
    [
        ("wnut17/wnut17train.conll", 3394, 1975, ("Empire State Building", "location")),
        ("wnut17/emerging.test.annotated", 1287, 1079, ("Sonmarg", "location")),
        ("resume_ner/train.char.bmes", 3821, 13440, ("中国国籍", "CONT")),
    ],
)
def test_real_files(file: str, sentences: int, entities: int, one: Any, data_dir: Path, tmp_path: Path) -> None:
    texts, found, _, refusals = read(tmp_path, (data_dir / file).read_bytes())
    assert not refusals
    assert (len(texts), sum(map(len, found))) == (sentences, entities)
    assert one in found[0]
