"""What does not fit is said by `hft check`, or before the first step: where, what, and what to do."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import CONTRASTIVE, Project, rows, stage, write

PROMPT = {"type": "prompt-classification", "pattern": "{text} it was {gap}", "verbalizers": {"neg": "差", "pos": "好"}}
PROMPTED = [stage(objectives=[{"type": "task", "data": "train"}])]
UNLABELLED = {"type": "text", "path": "unlabelled.txt"}


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        (
            {"task": PROMPT | {"pattern": "{text} it was"}, "stages": PROMPTED},
            "it needs `{gap}` once, and has it 0 times",
        ),
        (
            {"task": PROMPT | {"pattern": "{gap} {gap}: {text}"}, "stages": PROMPTED},
            "needs `{gap}` once, and has it 2 times",
        ),
        (
            {"task": PROMPT | {"pattern": "it was {gap}"}, "stages": PROMPTED},
            "it needs `{text}` once, and has it 0 times",
        ),
        (
            {"task": PROMPT | {"verbalizers": {"neg": "好", "pos": ["很", "好"]}}, "stages": PROMPTED},
            "'好' stands for 'neg' and 'pos'",
        ),
        ({"task": PROMPT | {"verbalizers": {"neg": "差", "pos": []}}, "stages": PROMPTED}, "'pos' has no word"),
        (
            {"stages": [CONTRASTIVE | {"batch_size": 1}]},
            "contrastive-pairs compares the rows of a batch with each other",
        ),
        ({"stages": [CONTRASTIVE | {"micro_batch": 4}]}, "a batch of 16 cannot be computed in pieces of 4"),
        (
            {"stages": [stage(objectives=[{"type": "contrastive-pairs", "data": "train", "pairs": 0}])]},
            "pairs: expected at least 1, found 0",
        ),
        (
            {"stages": [stage(objectives=[{"type": "task", "data": "train"}], techniques=[{"type": "pseudo-labels"}])]},
            "data",
        ),
        (
            {
                "stages": [
                    stage(
                        objectives=[{"type": "task", "data": "train"}],
                        techniques=[{"type": "pseudo-labels", "data": {"type": "text", "path": "unlabeled.txt"}}],
                    )
                ]
            },
            "did you mean 'unlabelled.txt'?",
        ),
    ],
)
def test_it_is_said_what_does_not_fit(project: Project, recipe: dict[str, Any], said: str) -> None:
    project.recipe |= recipe
    code, errors = project.refused()
    assert code in (2, 3), errors
    assert said in errors
    assert not (project.folder / ".hft" / "objects").exists()  # nothing was begun


def test_check_says_it_too(project: Project) -> None:
    project.recipe |= {"task": PROMPT | {"pattern": "{text} it was"}, "stages": PROMPTED}
    code, errors = project.checked()
    assert code == 2
    assert "it needs `{gap}` once, and has it 0 times" in errors


def run_says(project: Project, code: int, said: str) -> None:
    found, errors = project.refused()
    assert (found, said in errors) == (code, True), errors
    assert project.measured() == []


@pytest.mark.slow
def test_one_class_is_no_classification(project: Project) -> None:
    write(project.folder / "train.jsonl", rows(8, labels=("pos",)))
    run_says(
        project, 3, "classification needs at least two labels, but column 'label' of the training split has only 'pos'"
    )


@pytest.mark.slow
def test_a_label_that_the_few_rows_lack_is_named(project: Project) -> None:
    write(project.folder / "test.jsonl", [*rows(4), {"text": "so so", "label": "neutral"}])
    run_says(project, 3, "labels without a row in the training split: 'neutral'; it knows 'neg', 'pos'")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("verbalizers", "code", "said"),
    [
        (
            {"neg": "差", "pos": "好", "neutral": "店"},
            2,
            "verbalizers has 'neutral', which is no label of the training split",
        ),
        ({"neg": "差"}, 2, "the label 'pos' has no verbalizer; add `pos: WORD` to `verbalizers`"),
        ({"neg": "差", "pos": "很好"}, 2, "verbalizers need the same number of tokens"),
    ],
)
def test_verbalizers_and_labels_are_the_same(project: Project, verbalizers: Any, code: int, said: str) -> None:
    write(project.folder / "train.jsonl", [{**row, "text": row["text"] + " 很 好"} for row in rows(8)])
    project.recipe |= {"task": PROMPT | {"verbalizers": verbalizers}, "stages": PROMPTED}
    run_says(project, code, said)


@pytest.mark.slow
def test_a_model_without_a_mask_token_has_no_gap_to_fill(project: Project) -> None:
    project.recipe |= {"task": PROMPT, "stages": PROMPTED}
    project.recipe["model"] = {
        "type": "bert",
        "source": {"scratch": "tiny", "tokenizer": {"type": "bpe", "size": 300}},
        "max_length": 24,
    }
    code, errors = project.refused()
    assert code in (2, 4), errors


@pytest.mark.slow
def test_contrastive_pairs_want_a_task_with_an_embedding(project: Project) -> None:
    project.recipe |= {"task": {"type": "text-classification"}, "stages": [CONTRASTIVE | {"techniques": []}]}
    run_says(
        project, 2, "it trains the embedding of the task few-shot-classification, and the task is text-classification"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"minimum": 1.0}, "none of 60 rows has a label with a probability of 1; the highest is 0."),
        ({"column": "body"}, "its data has no column 'body', but text; set `column:`"),
    ],
)
def test_the_gate_says_why_nothing_passes(project: Project, changes: dict[str, Any], said: str) -> None:
    task = {"type": "task", "data": "train"}
    pseudo = {"type": "pseudo-labels", "data": UNLABELLED, **changes}
    project.recipe["stages"] = [
        stage(name="warm", objectives=[task], epochs=1),
        stage(name="more", objectives=[task], techniques=[pseudo], epochs=1),
    ]
    code, errors = project.refused()
    assert (code, said in errors) == (2, True), errors
    assert "more" not in project.measured()


@pytest.mark.slow
def test_labels_of_a_head_that_nobody_trained_are_refused(project: Project) -> None:
    """The model comes from an earlier run, its head was made for other labels."""
    project.recipe["data"].pop("test")
    model = project.run().model
    for name in ("train", "dev"):
        file = project.folder / f"{name}.jsonl"
        file.write_text(file.read_text("utf-8").replace('"neg"', '"no"').replace('"pos"', '"yes"'), "utf-8")
    project.recipe["model"] = {"type": "bert", "source": str(model), "max_length": 24}
    pseudo = {"type": "pseudo-labels", "data": UNLABELLED, "minimum": 0.5}
    project.recipe["stages"] = [stage(objectives=[{"type": "task", "data": "train"}], techniques=[pseudo])]
    run_says(project, 2, "no stage before this one has trained the task")
