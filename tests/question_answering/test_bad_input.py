"""What is wrong with recipe or data is said before anything is trained, or lies in the quarantine with its reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Row = dict[str, Any]


@pytest.fixture
def attempt(tmp_path: Path, hft_here: Callable[..., Any]) -> Callable[..., Any]:
    """Give ``attempt(rows, settings of the task…)``: a run on JSON lines; what it ends with."""

    def run(rows: list[Row], model: dict[str, Any] | None = None, **task: Any) -> Any:
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (tmp_path / "rows.jsonl").write_text(text, encoding="utf-8")
        recipe = {
            "name": "bad",
            "data": {"train": {"type": "jsonl", "path": "rows.jsonl"}, "split": {"validation": 0.3}},
            "task": {"type": "question-answering"} | task,
            "model": {
                "type": "bert",
                "source": {"scratch": "tiny", "tokenizer": {"type": "wordpiece", "size": 200}},
                "max_length": 32,
            }
            | (model or {}),
            "stages": [{"stage": "finetune", "epochs": 1, "objectives": [{"type": "task", "data": "train"}]}],
        }
        (tmp_path / "recipe.yaml").write_text(json.dumps(recipe), encoding="utf-8")
        outcome = hft_here("run", tmp_path / "recipe.yaml")
        assert "Traceback" not in outcome.err
        assert "epoch 0" not in outcome.out + outcome.err
        return outcome

    return run


def good(count: int = 12) -> list[Row]:
    return [
        {
            "context": f"the word w{n} stands here",
            "question": f"which, {n}?",
            "answers": [{"text": f"w{n}", "start": 9}],
        }
        for n in range(count)
    ]


def test_a_missing_column(attempt: Callable[..., Any]) -> None:
    outcome = attempt([{"text": row["context"], "question": "?", "answers": []} for row in good()])
    assert outcome.code == 3
    assert "no column 'context' for context; its columns are text, question, answers. Set `context:`" in outcome.err


def test_more_bad_rows_than_allowed(attempt: Callable[..., Any], tmp_path: Path) -> None:
    rows = good()
    for row in rows[:4]:
        row["answers"][0]["start"] = 0
    rows[4]["context"] = ""
    rows[5]["answers"] = "w5"
    outcome = attempt(rows)
    assert outcome.code == 3
    assert "6 of 12 rows" in outcome.err
    assert "bad-answer-offset: 4, empty-context: 1, not-a-list-of-answers: 1" in outcome.err
    assert "rows.jsonl, line 1: bad-answer-offset: at 0 stands 'th', not 'w0'; it begins at 9" in outcome.err
    [kept] = list(tmp_path.rglob("quarantine.jsonl"))
    reasons = [json.loads(line)["reason"] for line in kept.read_text("utf-8").splitlines()]
    assert sorted(set(reasons)) == ["bad-answer-offset", "empty-context", "not-a-list-of-answers"]


def test_no_answer_at_all(attempt: Callable[..., Any]) -> None:
    outcome = attempt([row | {"answers": []} for row in good()])
    assert outcome.code == 3
    assert "no question of the training split has an answer" in outcome.err


def test_an_overlap_that_does_not_fit(attempt: Callable[..., Any]) -> None:
    outcome = attempt(good(), overlap=40)
    assert outcome.code == 2
    assert "`overlap: 40` is more than half of a window, which holds 32 tokens; lower it to 16" in outcome.err


def test_no_answer_fits_into_a_window(attempt: Callable[..., Any]) -> None:
    rows = [row | {"answers": [{"start": 0, "end": len(row["context"])}]} for row in good()]
    outcome = attempt(rows, {"max_length": 8})
    assert outcome.code == 3
    assert "no answer fits into a window of the model; raise its `max_length`" in outcome.err


def test_a_model_without_such_a_head(attempt: Callable[..., Any]) -> None:
    source = {"scratch": "tiny", "tokenizer": {"type": "unigram", "size": 200}}
    outcome = attempt(good(), {"type": "t5", "source": source})
    assert outcome.code == 2
    assert "question-answering" in outcome.err
