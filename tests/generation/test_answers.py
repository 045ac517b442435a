"""Loss on answers only: what is learned of a row, whole rows in blocks, and answers that are too long."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from hft_core import Arrays, DataError, PluginError, Ragged, RowRandom, Stream
from hft_core.runtime.text import TextPreprocessor
from hft_plugins.text_generation.task import TextGeneration
from hft_plugins.transformers.causal_lm import CausalLM

from .conftest import random_net

ROWS = {
    "question": ["the cat sat", "猫坐在哪里？", "who barked at the door?", "ok", "a dog", "今天的菜"],
    "answer": ["on the mat", "垫子上", "a dog", "ok", "跑到门口", "很好吃，我们下次再来"],
}


def stream(preprocessor: TextPreprocessor, **task: Any) -> Stream:
    settings = {"text": "question", "answer": "answer", "new_tokens": 40, "prompt": "Q: {text} A:"} | task
    bound = TextGeneration(type="text-generation", **settings).bind(ROWS)
    return Stream(preprocessor, bound.roles(), bound)


def made(preprocessor: TextPreprocessor, rows: dict[str, list[str]] = ROWS, **settings: Any) -> tuple[Any, Arrays]:
    objective = CausalLM(type="causal-lm", data="train", task="main", **settings)
    return objective, objective.encode(rows, stream(preprocessor))


def pieces(preprocessor: TextPreprocessor) -> list[tuple[list[int], list[int]]]:
    """Tokens of each prompt, and of each answer with its end."""
    end = preprocessor.special["eos"]
    prompts = preprocessor.bare([f"Q: {text} A:" for text in ROWS["question"]])
    return [(one, [*two, end]) for one, two in zip(prompts, preprocessor.bare(ROWS["answer"]), strict=True)]


@pytest.mark.parametrize("block", [48, 80])
def test_blocks_are_made_of_whole_rows_in_order(preprocessor: TextPreprocessor, block: int) -> None:
    _, arrays = made(preprocessor, block=block)
    ids, learned, begins = (arrays[name] for name in ("input_ids", "learned", "begins"))
    assert isinstance(ids, Ragged)
    rows = [[*one, *two] for one, two in pieces(preprocessor)]
    assert ids.values.tolist() == [token for row in rows for token in row]
    assert learned.values.tolist() == [
        flag for one, two in pieces(preprocessor) for flag in [False] * len(one) + [True] * len(two)
    ]
    starts = np.cumsum([0, *map(len, rows)])
    assert np.flatnonzero(begins.values).tolist() == starts[:-1].tolist()
    assert set(ids.offsets) <= set(starts)  # no row is cut
    assert ids.lengths.max() <= block
    assert (
        ids.lengths[:-1] + [len(rows[row]) for row in arrays["row"][1:]] > block
    ).all()  # none would have fitted before
    assert 1 < len(ids) < len(rows)


def test_only_answers_are_targets(preprocessor: TextPreprocessor) -> None:
    objective, arrays = made(preprocessor)
    batch = objective.batch(arrays, RowRandom(0, arrays["row"]), stream(preprocessor))
    assert batch["targets"].tolist() == [token for _, two in pieces(preprocessor) for token in two]
    assert objective.count(batch) == len(batch["targets"])
    everything, arrays = made(preprocessor, prompts=True)
    batch = everything.batch(arrays, RowRandom(0, arrays["row"]), stream(preprocessor))
    assert batch["targets"].tolist() == [t for one, two in pieces(preprocessor) for t in [*one[1:], *two]]


def test_the_rows_of_a_task_are_plain_text_to_an_objective_that_does_not_train_it(
    preprocessor: TextPreprocessor,
) -> None:
    arrays = CausalLM(type="causal-lm", data="train").encode(ROWS, stream(preprocessor))
    end = preprocessor.special["eos"]
    wanted = [token for text in preprocessor.bare(ROWS["question"]) for token in (*text, end)]
    assert arrays["input_ids"].values.tolist() == wanted
    assert "learned" not in arrays


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_the_loss_is_that_of_each_row_alone(preprocessor: TextPreprocessor, family: str) -> None:
    net = random_net(family, preprocessor.vocabulary, preprocessor.special["eos"])
    objective, arrays = made(preprocessor, block=128)
    batch = objective.batch(arrays, RowRandom(0, arrays["row"]), stream(preprocessor))
    tensors = {name: torch.from_numpy(array) for name, array in batch.items()}
    with torch.no_grad():
        found = objective.loss(lambda **inputs: net("main", **inputs), tensors).sum.item()
        wanted = 0.0
        for one, two in pieces(preprocessor):
            ids = torch.tensor([[*one, *two]])
            labels = torch.tensor([[-100] * len(one) + two])  # what transformers leaves out of a loss
            wanted += net.heads["main"](ids, labels=labels).loss.item() * len(two)
    assert found == pytest.approx(wanted, rel=1e-4)


def test_answers_that_are_too_long(preprocessor: TextPreprocessor) -> None:
    rows = {"question": [*ROWS["question"], "long"], "answer": [*ROWS["answer"], "the mat " * 40]}
    with pytest.raises(
        DataError, match=r"1 of 7 training rows have an answer of more .* the first is number 7\. .*too_long"
    ):
        made(preprocessor, rows)
    _, arrays = made(preprocessor, rows, too_long="skip")
    assert np.array_equal(arrays["input_ids"].values, made(preprocessor)[1]["input_ids"].values)
    with pytest.raises(DataError, match="2 of 2 training rows"):
        made(preprocessor, {name: values[-1:] * 2 for name, values in rows.items()}, too_long="skip")


def test_without_an_end_nothing_is_learned(preprocessor: TextPreprocessor) -> None:
    settings = preprocessor.settings()
    endless = TextPreprocessor(preprocessor.tokenizer, settings | {"special": {"pad": settings["pad_id"]}})
    with pytest.raises(PluginError, match="no token that ends a text"):
        made(endless)


@pytest.mark.parametrize(
    ("task", "columns", "message"),
    [
        ({"text": "q"}, ["a"], r"no column 'q' for text.*Set `text:`"),
        ({"answer": "z"}, ["a", "b"], r"no column 'z' for answer.*Set `answer:`"),
        ({"text": "a", "answer": "a"}, ["a", "b"], "the same column 'a'"),
    ],
)
def test_missing_columns(task: dict[str, Any], columns: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        TextGeneration(type="text-generation", **task).bind({name: ["x"] for name in columns})


def test_rows_without_text_or_answer_are_refused() -> None:
    task = TextGeneration(type="text-generation", text="q", answer="a")
    rows = {"q": ["x", " ", 3, "x", "x"], "a": ["y", "y", "y", "", ["z"]]}
    assert task.refusals(rows) == [None, "empty-text", "text-is-no-text", "empty-answer", "answer-is-no-text"]


def test_a_prompt_has_a_place_for_the_text() -> None:
    with pytest.raises(ValueError, match="prompt"):
        TextGeneration(type="text-generation", prompt="no place")
