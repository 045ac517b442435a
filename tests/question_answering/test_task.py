"""What data may look like, what is refused and why, what is learned, and what the objective makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from hft_core import Columns, DataError, Refusal, Roles, Rows, Stream
from hft_core.data.augmentation import with_variants
from hft_core.data.cleaning import clean_texts
from hft_core.data.ledger import Ledger
from hft_core.data.splitting import assign
from hft_core.data.table import ROW
from hft_plugins.augmenters.random_delete import RandomDelete
from hft_plugins.cleaners.html import HtmlCleaner
from hft_plugins.cleaners.unicode import UnicodeCleaner
from hft_plugins.cleaners.whitespace import WhitespaceCleaner
from hft_plugins.question_answering.objective import AnswerSpan
from hft_plugins.question_answering.task import UNLABELLED, QuestionAnswering
from hft_plugins.readers.answers import nearest
from hft_plugins.readers.squad import SquadReader

TASK = QuestionAnswering(type="question-answering")
CONTEXT = "😀 水煮鱼很好吃，水煮鱼 is fish."
FISH = {"start": 2, "end": 5, "text": "水煮鱼"}
FACTS = {"no_answer": False, "threshold": 0.0, "rules": "squad"}


def arranged(answers: Any, task: QuestionAnswering = TASK, context: Any = CONTEXT) -> Any:
    return task.arrange({"context": [context], "question": ["?"], "answers": [answers]})["answers"][0]


def columns(*answers: Any, context: str = CONTEXT) -> Columns:
    return {"context": [context] * len(answers), "question": ["什么？"] * len(answers), "answers": list(answers)}


@pytest.mark.parametrize(
    "answers",
    [
        [FISH],
        [{"text": "水煮鱼", "start": 2}],
        [{"text": "水煮鱼", "answer_start": 2}],
        [{"start": 2, "end": 5}],
        {"text": ["水煮鱼"], "answer_start": [2]},
    ],
)
def test_forms_of_a_list_of_answers(answers: Any) -> None:
    assert arranged(answers) == [FISH]
    assert TASK.refusals({"context": [CONTEXT], "question": ["?"], "answers": [arranged(answers)]}) == [None]


@pytest.mark.parametrize(
    ("text", "start", "wanted"),
    [
        ("水煮鱼", 2, [FISH]),
        ("水煮鱼", " 2 ", [FISH]),  # as CSV gives it
        ("水煮鱼", 2.0, [FISH]),  # a column of numbers with gaps
        ("", "", []),
        (None, None, []),
        ("", -1, []),
        ("", "-1", []),
    ],
)
def test_an_answer_in_two_columns(text: Any, start: Any, wanted: Any) -> None:
    task = QuestionAnswering(
        type="question-answering", context="c", question="q", answer="a", answer_start="s", answers="all"
    )
    raw: Columns = {"c": [CONTEXT], "q": ["?"], "a": [text], "s": [start]}
    assert task.bind(raw) == task
    found = task.arrange(raw)
    assert (found["all"], task.refusals(found)) == ([wanted], [None])


@pytest.mark.parametrize(
    ("context", "question", "answers", "reason"),
    [
        (None, "?", [], "empty-context"),
        (" \n", "?", [], "empty-context"),
        (7, "?", [], "not-a-text"),
        ("ab", "", [], "empty-question"),
        ("ab", ["?"], [], "not-a-text"),
        ("ab", "?", None, "not-a-list-of-answers"),
        ("ab", "?", "ab", "not-a-list-of-answers"),
        ("ab", "?", ["ab"], "not-a-list-of-answers"),
        ("ab", "?", [{"end": 1}, "ab"], "not-a-list-of-answers"),
        ("ab", "?", {"text": ["ab"], "answer_start": []}, "not-a-list-of-answers"),
        ("ab", "?", [{"text": "ab"}], "answer-without-place"),
        ("ab", "?", [{"text": "ab", "start": "0"}], "answer-without-place"),
        ("ab", "?", [{"text": "ab", "start": True}], "answer-without-place"),
        ("ab", "?", [{"start": 0}], "answer-without-place"),
        ("ab", "?", [{"text": 5, "start": 0}], "answer-is-no-text"),
        ("ab", "?", [{"text": " ", "start": 0}], "empty-answer"),
        ("ab", "?", [{"text": "b", "start": 5}], "answer-outside-context"),
        ("ab", "?", [{"text": "ab", "start": -1}], "answer-outside-context"),
        ("ab", "?", [{"start": 0, "end": 9}], "answer-outside-context"),
        ("ab", "?", [{"start": -2, "end": 1}], "answer-outside-context"),
        ("ab", "?", [{"text": "a", "start": 1}], "bad-answer-offset"),
        ("ab", "?", [{"text": "a", "start": 0}, {"text": "a", "start": 1}], "bad-answer-offset"),
    ],
)
def test_refusals(context: Any, question: Any, answers: Any, reason: str) -> None:
    raw = {"context": [context], "question": [question], "answers": [answers]}
    [found] = TASK.refusals(TASK.arrange(raw))
    assert found is not None
    assert found.partition(": ")[0] == reason


def test_a_refusal_says_what_stands_there() -> None:
    [found] = TASK.refusals(columns([{"start": 3, "end": 6, "text": "水煮鱼"}]))
    assert found == "bad-answer-offset: at 3 stands '煮鱼很', not '水煮鱼'; it begins at 2"


def test_offsets_can_be_repaired() -> None:
    task = QuestionAnswering(type="question-answering", repair_offsets=True)
    assert arranged([{"text": "水煮鱼", "start": 4}], task) == [FISH]
    assert arranged([{"text": "水煮鱼", "start": 8}], task)[0]["start"] == 9
    assert arranged([{"text": "，水煮鱼。", "start": 8}, {"text": "牛肉", "start": 0}], task) == [
        {
            "start": 9,
            "end": 12,
            "text": "水煮鱼",
        }  # without marks that do not stand there, and without an answer that does not
    ]
    [lost] = task.refusals(columns(arranged([{"text": "牛肉", "start": 4}], task)))
    assert lost is not None
    assert lost.startswith("bad-answer-offset")


@pytest.mark.parametrize(("place", "wanted"), [(0, 1), (1, 1), (2, 2), (3, 2), (4, 4), (9, 4), (-5, 1)])
def test_the_nearest_occurrence(place: int, wanted: int) -> None:
    assert nearest("xaaxa", "a", place) == wanted
    assert nearest("xaaxa", "b", place) is None


@pytest.mark.parametrize(
    ("part", "questions", "lost", "repaired"), [("dev", 3_219, 0, "200"), ("trial", 1_002, 2, "5")]
)
def test_cmrc2018_can_be_repaired(part: str, questions: int, lost: int, repaired: str, data_dir: Path) -> None:
    reader = SquadReader(type="squad", path=data_dir / "cmrc2018" / f"cmrc2018_{part}.json", repair_offsets=True)
    items = list(reader.read())
    refused = [item for item in items if isinstance(item, Refusal) and item.reason == "bad-answer-offset"]
    kept = sum(len(item.places) for item in items if isinstance(item, Rows))
    assert (len(refused), kept) == (0, questions - lost)
    assert reader.found() == {"repaired answers": repaired}


@pytest.mark.parametrize("missing", ["context", "question", "answers"])
def test_the_missing_column_is_named(missing: str) -> None:
    sample = {name: values for name, values in columns([FISH]).items() if name != missing}
    for looks in (TASK.bind, TASK.arrange):  # the latter at other splits than train
        with pytest.raises(
            DataError, match=rf"no column '{'answer' if missing == 'answers' else missing}' for .*Set `"
        ):
            looks(sample)


def test_roles_keep_augmenters_off_the_answers_and_contexts_together() -> None:
    wanted = Roles(
        text=("context", "question"),
        target=("answers",),
        spans=("answers",),
        protected=("answers",),
        group=("context",),
    )
    assert TASK.roles() == wanted
    rows: Columns = {"context": [f"c{n // 5}" for n in range(200)], "question": [f"q{n}" for n in range(200)]}
    split = assign([rows], TASK.roles(), {"validation": 0.2}, None)
    assert set(split) == {0, 1}
    assert all(len(set(split[start : start + 5])) == 1 for start in range(0, 200, 5))


def test_what_is_learned() -> None:
    assert TASK.learn([columns([FISH]), columns([FISH], [FISH])]) == {
        "no_answer": False,
        "threshold": 0.0,
        "rules": "cmrc",
    }
    english = columns([{"start": 15, "end": 22, "text": "is fish"}], [])
    assert TASK.learn([english]) == {"no_answer": True, "threshold": 0.0, "rules": "squad"}
    ignoring = QuestionAnswering(type="question-answering", no_answer=False)
    assert not ignoring.learn([english])["no_answer"]


def test_nothing_to_learn() -> None:
    with pytest.raises(DataError, match="no question of the training split has an answer"):
        TASK.learn([columns([], [])])
    with pytest.raises(DataError, match="`no_answer: true`, but every question"):
        QuestionAnswering(type="question-answering", no_answer=True).learn([columns([FISH])])


def test_truths_are_what_stands_in_the_context() -> None:
    # After cleaning, the text beside a span may be that of before.
    again = {"start": 9, "end": 13, "text": "水煮鱼 "}
    rows = columns([FISH | {"text": "水煮魚"}, again], [], [{"start": 1, "end": 2, "text": "x"}])
    assert TASK.truths(rows, FACTS) == [{"answer": ["水煮鱼"]}, {"answer": [None]}, {"answer": [None]}]


def test_answers_move_with_cleaning_and_stay_in_variants() -> None:
    context = "<b>Hi</b>  &amp; ﬁrst Anna\u200b met 吴重阳 there again, then &lt; Paris"
    answers = [
        {"start": context.index(one), "end": context.index(one) + len(one), "text": one} for one in ("吴重阳", "Anna")
    ]
    rows = columns(answers, context=context) | {ROW: [1]}
    cleaners = [UnicodeCleaner(type="unicode"), HtmlCleaner(type="html"), WhitespaceCleaner(type="whitespace")]
    [cleaned] = clean_texts([rows], cleaners, TASK.roles(), Ledger(), drop_empty=True)
    assert cleaned["context"] != rows["context"]
    assert TASK.truths(cleaned, FACTS) == [{"answer": ["吴重阳", "Anna"]}]
    augmenter = RandomDelete(type="random-delete", rate=0.3, copies=8)
    variants = list(with_variants([cleaned], [augmenter], TASK.roles(), 0, Ledger()))[1:]
    assert len({made["context"][0] for made in variants}) > 2
    assert all(TASK.truths(made, FACTS) == [{"answer": ["吴重阳", "Anna"]}] for made in variants)


@pytest.mark.parametrize("settings", [{"overlap": -1}, {"max_answer_length": 0}, {"n_best": 0}, {"question_length": 0}])
def test_settings_out_of_range(settings: Any) -> None:
    with pytest.raises(ValidationError):
        QuestionAnswering(type="question-answering", **settings)


# ---- the objective ----


def stream(preprocessor: Any, task: QuestionAnswering = TASK) -> Stream:
    return Stream(preprocessor, task.roles(), task, FACTS)


def test_the_loss_is_that_of_start_and_end(make_encoder: Any) -> None:
    preprocessor = make_encoder("wordpiece", [CONTEXT] * 9)
    objective = AnswerSpan(type="answer-span", data="train")
    arrays = objective.encode(columns([FISH], [], context=CONTEXT), stream(preprocessor))
    assert "offsets" not in arrays
    batch = {
        name: array for name, array in objective.batch(arrays, None, stream(preprocessor)).items() if name != "row"
    }  # type: ignore[arg-type]  # draws nothing
    assert objective.count(batch) == 4
    rows, width = batch["input_ids"].shape
    generator = torch.Generator().manual_seed(0)
    outputs = {name: torch.randn(rows, width, generator=generator) for name in ("start_logits", "end_logits")}

    def net(**inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        assert sorted(inputs) == ["attention_mask", "input_ids", "token_type_ids"]
        return outputs

    tensors = {name: torch.from_numpy(array) for name, array in batch.items()}
    loss = objective.loss(net, tensors)
    by_hand = sum(
        -outputs[name][row].log_softmax(-1)[batch["labels"][row, side]]
        for row in range(rows)
        for side, name in enumerate(("start_logits", "end_logits"))
    )
    torch.testing.assert_close(loss.sum, by_hand)

    # Padding changes nothing, whatever the net says there.
    wider = {name: torch.nn.functional.pad(tensor, (0, 3)) for name, tensor in tensors.items() if name != "labels"}
    outputs = {name: torch.nn.functional.pad(one, (0, 3), value=50.0) for name, one in outputs.items()}
    torch.testing.assert_close(objective.loss(net, wider | {"labels": tensors["labels"]}).sum, by_hand)


def test_padding_before_the_tokens(make_encoder: Any) -> None:
    preprocessor = make_encoder("wordpiece", [CONTEXT] * 9)
    objective = AnswerSpan(type="answer-span", data="train")
    rows: Columns = {
        "context": [CONTEXT, CONTEXT * 2], "question": ["?", "什么？"], "answers": [[FISH], [FISH]],
    }  # fmt: skip
    arrays = objective.encode(rows, stream(preprocessor))
    right = objective.batch(arrays, None, stream(preprocessor))  # type: ignore[arg-type]  # draws nothing
    preprocessor.padding_side = "left"
    left = objective.batch(arrays, None, stream(preprocessor))  # type: ignore[arg-type]  # draws nothing
    for row in range(2):
        for side in range(2):
            assert (
                left["input_ids"][row, left["labels"][row, side]] == right["input_ids"][row, right["labels"][row, side]]
            )
    assert left["labels"][0, 0] > right["labels"][0, 0]


def test_r_drop_finds_logits_and_labels(make_encoder: Any) -> None:
    from hft_plugins.techniques.classes import counted

    preprocessor = make_encoder("wordpiece", [CONTEXT] * 9)
    objective = AnswerSpan(type="answer-span", data="train")
    batch = objective.batch(objective.encode(columns([FISH], []), stream(preprocessor)), None, stream(preprocessor))  # type: ignore[arg-type]  # draws nothing
    tensors = {name: torch.from_numpy(array) for name, array in batch.items() if name != "row"}
    zeros = torch.zeros(batch["input_ids"].shape)
    loss = objective.loss(lambda **inputs: {"start_logits": zeros, "end_logits": zeros}, tensors)
    assert counted(tensors, loss, "r-drop").tolist() == [True] * 4
    assert loss.outputs["logits"].shape == (2, 2, batch["input_ids"].shape[1])


def test_answers_that_cannot_be_learned_are_told(make_encoder: Any) -> None:
    context = " ".join(f"w{number}" for number in range(40))
    long = [{"start": 0, "end": len(context), "text": context}]
    short = [{"start": 0, "end": 5, "text": "w0 w1"}]
    preprocessor = make_encoder("wordpiece", [context] * 9, max_length=16)
    objective = AnswerSpan(type="answer-span", data="train")
    brief = QuestionAnswering(type="question-answering", max_answer_length=1)
    arrays = objective.encode(columns(long, short, context=context), stream(preprocessor, brief))
    lost, never = objective.remarks(arrays, stream(preprocessor, brief))
    assert lost.startswith("1 answers fit into no window")
    assert never.startswith("1 answers are longer than 1 tokens")
    assert (np.asarray(arrays["labels"])[np.asarray(arrays["row"]) == 0] == UNLABELLED).all()
    assert (
        objective.remarks(objective.encode(columns(short, context="w0 w1"), stream(preprocessor)), stream(preprocessor))
        == []
    )
    with pytest.raises(DataError, match="no answer fits into a window"):
        objective.encode(columns(long, context=context), stream(preprocessor))
