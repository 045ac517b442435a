"""What an export leaves behind: the file, the section of the report; and what it refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, Literal

import pytest
from pydantic import ValidationError

import hft_core
from hft_core import PluginError, Task
from hft_explain.export import evenly, explanations
from hft_explain.plugin import Explain


def lines(folder: Path, name: str = "explain") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / name / "attributions.jsonl").read_text("utf-8").splitlines()]


def check_places(records: list[dict[str, Any]], expect: set[str]) -> None:
    """Every token stands where it says, in order and none twice; `expect` are the columns."""
    assert {token["column"] for record in records for token in record["tokens"]} == expect
    for record in records:
        behind = dict.fromkeys(expect, 0)
        for token in record["tokens"]:
            assert record["texts"][token["column"]][token["start"] : token["end"]] == token["text"] != ""
            assert token["start"] >= behind[token["column"]]
            behind[token["column"]] = token["end"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["english", "chinese"])
def test_file_and_report_of_a_classifier(name: str, request: pytest.FixtureRequest) -> None:
    model = request.getfixturevalue(name)
    records = lines(model.folder)
    assert [record["row"] for record in records] == evenly(40, 12)
    check_places(records, {"text"})
    for record in records:
        assert record["texts"] == {"text": model.run.validation["text"][record["row"]]}
        assert record["explained"] == record["prediction"]["label"]
        assert "".join(token["text"] for token in record["tokens"]) == record["texts"]["text"].replace(" ", "")
    page = (model.folder / "report.html").read_text("utf-8")
    assert re.search(r'<mark class="for s5" title="\+1\.00">(superb|dreadful|赞|差)</mark>', page)
    assert "<script" not in page
    (section,) = json.loads((model.folder / "report.json").read_text("utf-8"))["sections"]
    assert section["data"]["explanations"] == len(section["table"]) == len(section["passages"]) == 12
    assert section["data"]["relative_error"] < 0.05
    assert [passage["text"] for passage in section["passages"]] == [record["texts"]["text"] for record in records]


@pytest.mark.slow
def test_entities_and_answers_are_found_in_their_texts(tagger: Any, answerer: Any) -> None:
    for record in lines(tagger.folder):
        (person,) = record["prediction"]["entities"]
        assert record["explained"] == f"person: {person['text']}"
    check_places(lines(tagger.folder), {"text"})
    assert len(lines(tagger.folder)) == 12  # although every second text is without a person
    check_places(lines(answerer.folder), {"context", "question"})
    (section,) = json.loads((answerer.folder / "report.json").read_text("utf-8"))["sections"]
    assert [passage["title"] for passage in section["passages"][1::2]] == ["question"] * 12


@pytest.mark.slow
@pytest.mark.parametrize("method", ["integrated-gradients", "occlusion"])
def test_the_same_twice_and_in_parts(english: Any, method: str) -> None:
    settings = Explain(type="explain", method=method, rows=5)
    once, again = (explanations(settings, english.net, english.run) for _ in range(2))
    assert [one.record() for one in once] == [one.record() for one in again]
    assert [one.row.number for one in once] == evenly(40, 5)


@pytest.mark.slow
def test_places_are_those_before_cleaning(train: Callable[..., Any]) -> None:
    rows = [
        {"text": f"<p>味道&amp;服务 {'好' if n % 2 else '差'}</p> n{n}", "label": str(n % 2), "x": n} for n in range(80)
    ]
    model = train(
        rows, {"type": "text-classification", "text": "text", "label": "label"}, epochs=1, clean=["html"], rows=40
    )
    records = lines(model.folder)
    check_places(records, {"text"})
    assert all(record["texts"]["text"].startswith("<p>味道&amp;服务") for record in records)
    assert any(token["text"] == "&amp;" for record in records for token in record["tokens"])
    assert not any(token["text"] == "p" for record in records for token in record["tokens"])


@pytest.mark.slow
def test_pairs_sets_of_labels_and_numbers(train: Callable[..., Any]) -> None:
    texts = [
        {"text": f"good and {'cheap' if n % 3 else 'far'} n{n}", "other": f"so far, so good {n}"} for n in range(80)
    ]
    pairs = [row | {"label": "ab"[n % 2]} for n, row in enumerate(texts)]
    model = train(pairs, {"type": "text-classification", "text": "text", "pair": "other"}, epochs=1, rows=3)
    check_places(lines(model.folder), {"text", "other"})

    sets = [{"text": row["text"], "labels": ["a", "b"][: n % 3]} for n, row in enumerate(texts)]
    model = train(sets, {"type": "multi-label-classification"}, epochs=1, rows=5, most=1)
    assert len(lines(model.folder)) == 5
    for record in lines(model.folder):
        labels = record["prediction"]["labels"] or record["prediction"]["scores"]
        assert record["explained"] in labels

    numbers = [{"text": row["text"], "score": n % 3} for n, row in enumerate(texts)]
    model = train(numbers, {"type": "regression"}, epochs=1, rows=5, method="occlusion", window=2)
    assert all(record["error"] is None for record in lines(model.folder))
    (section,) = json.loads((model.folder / "report.json").read_text("utf-8"))["sections"]
    assert "relative_error" not in section["data"]
    assert "the logit" in section["text"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["english", "tagger", "answerer"])
def test_without_texts_nothing_of_the_data_is_written(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    model = request.getfixturevalue(name)
    run = replace(model.run, texts=False)
    section = Explain(type="explain", rows=3, method="occlusion").export(model.net, run, tmp_path, lambda text: None)
    written = json.dumps([section.text, list(section.table), section.data]) + (
        tmp_path / "attributions.jsonl"
    ).read_text("utf-8")
    assert section.passages == []
    texts = [text for name in run.task.roles().text for text in run.validation[name]]
    words = {word for text in texts for word in text.split()}
    assert words & {"superb", "mister", "called"}
    found = {word for word in re.findall(r"\w+", written) if len(word) > 3} & words
    assert found <= {"word"}  # "the same text without its words"
    assert '"start"' in written


@pytest.mark.slow
def test_baseline_that_a_tokenizer_lacks_is_refused(english: Any) -> None:
    unmasked = SimpleNamespace(windows=None, settings=lambda: {"special": {}, "pad_id": 0})
    run = replace(english.run, preprocessor=unmasked)
    with pytest.raises(PluginError, match="no mask token"):
        explanations(Explain(type="explain", baseline="mask"), english.net, run)
    pixels = replace(english.run, preprocessor=SimpleNamespace(settings=dict))
    with pytest.raises(PluginError, match="does not read texts only"):
        explanations(Explain(type="explain"), english.net, pixels)


@pytest.mark.slow
def test_rows_of_which_nothing_is_predicted(tagger: Any, tmp_path: Path) -> None:
    nobody = {"text": ["the river is here"] * 3 + [""], "entities": [[]] * 4}
    run = replace(tagger.run, validation=nobody)
    section = Explain(type="explain").export(tagger.net, run, tmp_path, lambda text: None)
    assert (tmp_path / "attributions.jsonl").read_text("utf-8") == ""
    assert "nothing is predicted" in section.text
    assert (section.table, section.passages) == ([], [])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"method": "occlusion", "steps": 20}, "`steps` belongs to integrated-gradients"),
        ({"window": 2}, "`window` belongs to occlusion"),
        ({"method": "occlusion", "baseline": "zero"}, "take mask or padding"),
        ({"rows": 0}, "greater than or equal to 1"),
        ({"method": "lime"}, "integrated-gradients"),
        ({"texts": True}, "texts"),
    ],
)
def test_settings_that_do_not_go_together(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Explain(type="explain", **settings)


def test_tasks_without_a_score_are_refused_before_anything_is_trained(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("HFT_STORE", str(tmp_path / "store"))
    (tmp_path / "train.txt").write_text("one text\nanother text\n" * 200, encoding="utf-8")
    recipe = {
        "name": "writer",
        "data": {"train": {"type": "text", "path": str(tmp_path / "train.txt")}},
        "task": {"type": "text-generation"},
        "model": {"type": "gpt", "source": {"scratch": "tiny", "tokenizer": {"type": "bpe", "size": 300}}},
        "stages": [{"stage": "finetune", "objectives": [{"type": "task", "data": "train"}], "epochs": 1}],
        "export": [{"type": "explain"}],
    }
    file = tmp_path / "recipe.yaml"
    file.write_text(json.dumps(recipe), encoding="utf-8")
    with pytest.raises(PluginError, match="what can be explained are labels, numbers, entities and answers"):
        hft_core.run(file)


@pytest.mark.parametrize("own", [True, False])
def test_labels_that_a_task_makes_itself_are_refused(own: bool) -> None:
    """They are not numbers of the graph, such as those of words at a gap."""

    class Asked(Task):
        """One label."""

        type: Literal["asked"]
        target_form: ClassVar[Literal["label"]] = "label"
        runtime: ClassVar[str] = "json"  # any module without `predict`

        if own:

            def predict(self, *arguments: Any) -> dict[str, Any]:
                return {}

    Asked.__abstractmethods__ = frozenset()  # what else a task does plays no part
    said = Explain(type="explain").refusal(Asked(type="asked"))  # type: ignore[abstract]
    assert (said is not None and "makes its label of the model's outputs itself" in said) is own


@pytest.mark.parametrize(
    ("total", "count", "expected"), [(10, 2, [2, 7]), (3, 5, [0, 1, 2]), (0, 4, []), (8, 8, list(range(8)))]
)
def test_rows_are_evenly_spaced(total: int, count: int, expected: list[int]) -> None:
    assert evenly(total, count) == expected
    assert len(set(evenly(1000, 37))) == 37
