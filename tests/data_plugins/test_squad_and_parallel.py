"""Questions with answers in the form of SQuAD, and parallel text."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from hft_core import DataError
from hft_plugins.readers.parallel import ParallelReader
from hft_plugins.readers.squad import SquadReader

from .reading import read_all


class TestSquad:
    def squad(self, folder: Path, content: Any) -> SquadReader:
        path = folder / "a.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content, indent=1), encoding="utf-8")
        return SquadReader(type="squad", path=path)

    def test_questions_with_and_without_answer(self, tmp_path: Path) -> None:
        context = "😀 水煮鱼很好吃。"
        questions = [
            {"id": 7, "question": "什么好吃？", "answers": [{"text": "水煮鱼", "answer_start": 2}] * 2},
            {"id": "b", "question": "什么不好吃？", "answers": [], "is_impossible": True},
            {"id": "c", "question": "?", "answers": [{"text": "水煮鱼", "answer_start": 3}]},
        ]
        data = [{"title": "菜", "paragraphs": [{"context": context, "qas": questions}]}, {"paragraphs": []}]
        columns, places, [refusal] = read_all(self.squad(tmp_path, {"version": "v2.0", "data": data}))
        answer = {"start": 2, "end": 5, "text": "水煮鱼"}
        assert columns == {
            "id": ["7", "b"],
            "title": ["菜", "菜"],
            "context": [context] * 2,
            "question": ["什么好吃？", "什么不好吃？"],
            "answers": [[answer, answer], []],
        }
        assert places == [1, 2]
        assert (refusal.place, refusal.reason) == (3, "bad-answer-offset")
        assert "it begins at 2" in refusal.detail
        assert json.loads(refusal.raw) == questions[2]

    def test_lists_that_are_none_count_as_one_record(self, tmp_path: Path) -> None:
        data = [{"title": "a"}, "b", {"paragraphs": [{"context": "x", "qas": None}, 3]}]
        _, _, refusals = read_all(self.squad(tmp_path, {"data": data}))
        assert [(refusal.place, refusal.reason) for refusal in refusals] == [
            (place, "malformed-paragraph") for place in (1, 2, 3, 4)
        ]

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("{", "not the form of SQuAD"),
            ("[]", "not the form of SQuAD"),
            ('{"data": []}', "not the form"),
            ("[" * 99_999, "not the form of SQuAD"),
        ],
    )
    def test_what_is_no_squad(self, content: str, message: str, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=message):
            read_all(self.squad(tmp_path, content))

    @pytest.mark.parametrize(("part", "questions", "bad"), [("dev", 3_219, 176), ("trial", 1_002, 5)])
    def test_cmrc2018(self, part: str, questions: int, bad: int, data_dir: Path) -> None:
        columns, places, refusals = read_all(
            SquadReader(type="squad", path=data_dir / "cmrc2018" / f"cmrc2018_{part}.json")
        )
        reasons = [refusal.reason for refusal in refusals]
        assert reasons.count("bad-answer-offset") == bad
        assert reasons.count("missing-question") == len(reasons) - bad == (2 if part == "trial" else 0)
        assert sorted(places + [refusal.place for refusal in refusals]) == list(range(1, questions + 1))
        for context, answers in zip(columns["context"], columns["answers"], strict=True):
            assert all(context[one["start"] : one["end"]] == one["text"] for one in answers)

    @pytest.mark.parametrize("language", ["en", "de", "zh"])
    def test_xquad(self, language: str, data_dir: Path) -> None:
        columns, _, refusals = read_all(SquadReader(type="squad", path=data_dir / "xquad" / f"xquad.{language}.json"))
        assert (len(columns["question"]), refusals) == (1_190, [])


class TestParallel:
    def parallel(self, folder: Path, **contents: bytes) -> ParallelReader:
        for name, content in contents.items():
            (folder / f"a.{name}").write_bytes(content)
        return ParallelReader(type="parallel", paths=[folder / f"a.{name}" for name in contents])

    def test_lines_stand_beside_each_other(self, tmp_path: Path) -> None:
        reader = self.parallel(tmp_path, en=b"one\n\n\ntwo\nb\xff\nthree", zh="一\n\n二\n \n三\n四\n".encode())
        columns, places, refusals = read_all(reader)
        assert columns == {"en": ["one", "three"], "zh": ["一", "四"]}
        assert places == [1, 6]
        assert [(refusal.place, refusal.reason) for refusal in refusals] == [
            (3, "missing-translation"), (4, "missing-translation"), (5, "invalid-utf8"),
        ]  # fmt: skip
        assert refusals[1].raw == b"two\t "

    def test_files_of_different_lengths(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"a\.en 2, a\.de 3"):
            read_all(self.parallel(tmp_path, en=b"1\n2\n", de=b"1\n2\n3\n"))

    def test_names_of_columns(self, tmp_path: Path) -> None:
        paths = [tmp_path / "en.txt", tmp_path / "de.txt"]
        assert list(ParallelReader(type="parallel", paths=paths)._names()) == ["en", "de"]
        with pytest.raises(ValidationError, match="2 files need as many"):
            ParallelReader(type="parallel", paths=paths, columns=["en"])
        with pytest.raises(ValidationError, match="as many different"):
            ParallelReader(type="parallel", paths=[tmp_path / "a" / "x.txt", tmp_path / "b" / "x.txt"])

    def test_each_file_has_its_encoding_and_packing(self, tmp_path: Path) -> None:
        zh = gzip.compress("很好的菜\n我不是\n".encode("gb18030"))
        columns, _, _ = read_all(self.parallel(tmp_path, de="Süßspeise\nMöhre\n".encode("latin-1"), zh=zh))
        assert columns == {"de": ["Süßspeise", "Möhre"], "zh": ["很好的菜", "我不是"]}

    def test_multi30k(self, data_dir: Path) -> None:
        paths = [data_dir / "multi30k" / f"train.{language}.gz" for language in ("en", "de", "fr")]
        columns, _, refusals = read_all(ParallelReader(type="parallel", paths=paths))
        assert ({name: len(values) for name, values in columns.items()}, refusals) == (
            {"en": 29_000, "de": 29_000, "fr": 29_000},
            [],
        )
