"""The side loss `supervised-contrastive`: the paper's formula, whole or in pieces, and what it does to the backbone."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import normalize

from hft_core.training.loop import train
from hft_plugins.optimizers.torch_optimizers import SGD, AdamW
from hft_plugins.text_classification.contrastive import SupervisedContrastive
from hft_plugins.text_classification.pooling import Pooled, Pooling

ADAMW = AdamW(type="adamw", lr=1e-3)


def contrastive(**settings: Any) -> SupervisedContrastive:
    given = {"type": "supervised-contrastive", "data": "train", "task": "main"} | settings
    return SupervisedContrastive.model_validate(given)


def reference(vectors: list[list[float]], labels: list[int], temperature: float) -> float:
    """Equation 2 of Khosla et al. 2020 (and Gunel et al. 2021), written out; the mean over rows that are not alone."""
    rows = range(len(vectors))

    def cosine(i: int, j: int) -> float:
        dot = sum(a * b for a, b in zip(vectors[i], vectors[j], strict=True))
        return dot / math.hypot(*vectors[i]) / math.hypot(*vectors[j])

    losses = []
    for i in rows:
        alike = [j for j in rows if j != i and labels[j] == labels[i]]
        if not alike:
            continue
        total = sum(math.exp(cosine(i, k) / temperature) for k in rows if k != i)
        losses.append(-sum(math.log(math.exp(cosine(i, j) / temperature) / total) for j in alike) / len(alike))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("temperature", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("labels", [[0, 1, 0, 1, 1, 0], [0, 0, 1, 2, 2, 2], [5, 5, 5, 5, 5, 5]])
def test_it_is_the_formula_of_the_paper(labels: list[int], temperature: float) -> None:
    vectors = torch.randn(6, 7, generator=torch.Generator().manual_seed(3))
    loss = contrastive(temperature=temperature).couple({"embedding": vectors, "labels": torch.tensor(labels)})
    assert float(loss.sum) / 6 == pytest.approx(reference(vectors.tolist(), labels, temperature), rel=1e-4)


def test_a_row_alone_with_its_label_is_a_rival_but_not_counted() -> None:
    vectors = torch.randn(5, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    labels = torch.tensor([0, 0, 1, 2, 1])
    loss = contrastive().couple({"embedding": vectors, "labels": labels}).sum / 5
    assert loss.item() == pytest.approx(reference(vectors.tolist(), labels.tolist(), 0.3), rel=1e-5)
    without = reference(vectors[[0, 1, 2, 4]].tolist(), [0, 0, 1, 1], 0.3)
    assert loss.item() > without + 1e-3, "the row alone stands in the others' denominators"


@pytest.mark.parametrize("labels", [[0], [0, 1, 2]])
def test_a_step_of_rows_that_are_all_alone_changes_nothing(labels: list[int]) -> None:
    vectors = torch.randn(len(labels), 4).requires_grad_()
    loss = contrastive().couple({"embedding": vectors, "labels": torch.tensor(labels)})
    assert loss.sum.item() == 0
    loss.sum.backward()  # type: ignore[no-untyped-call]  # torch's is untyped
    assert vectors.grad is not None
    assert not vectors.grad.any()


def test_cosines_are_computed_in_float32() -> None:
    vectors = torch.randn(8, 64, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(8) % 3
    with torch.autocast("cpu", torch.bfloat16):
        found = contrastive(temperature=0.05).couple({"embedding": vectors, "labels": labels}).sum
    assert float(found) / 8 == pytest.approx(reference(vectors.tolist(), labels.tolist(), 0.05), rel=1e-5)


@pytest.mark.parametrize(("pooling", "expected"), [("mean", [2.0, 6.5]), ("first", [1.0, 6.0]), ("last", [3.0, 7.0])])
def test_a_rows_vector_is_made_of_its_own_tokens(pooling: Pooling, expected: list[float]) -> None:
    """Padding on either side is no part of it."""
    hidden = torch.tensor([[1.0, 2, 3, 99], [99, 99, 6, 7]])[..., None]
    mask = torch.tensor([[1, 1, 1, 0], [0, 0, 1, 1]])
    assert Pooled(pooling)(hidden, mask)["embedding"].flatten().tolist() == expected


def gradients(bench: Any, objective: Any, columns: Any, micro: int) -> dict[str, torch.Tensor]:
    """What one step of plain SGD with rate 1 takes off each weight: the gradient, as the loop adds it up."""
    task = bench.objective("classification", weight=0.5)
    start = bench.weights()
    settings: dict[str, Any] = {
        "batch_size": len(columns["text"]),
        "micro_batch": micro,
        "optimizer": SGD(type="sgd", lr=1.0),
    }
    job = bench.job((task, columns), (objective, columns), **settings)
    end = dict(train(job).net.named_parameters())
    return {name: start[name] - end[name].detach() for name in start}


@pytest.mark.parametrize("family", ["bert", "gpt"])
def test_micro_batches_give_the_gradient_of_the_big_batch(benches: Any, make_rows: Any, family: str) -> None:
    """Even where rows are alone with their label in a piece, and not in the step."""
    bench, columns = benches[family], make_rows(24, seed=2)
    whole, pieces = (gradients(bench, contrastive(), columns, micro) for micro in (24, 2))
    for name, gradient in whole.items():
        torch.testing.assert_close(pieces[name], gradient, atol=1e-5, rtol=0)
    plain = gradients(bench, contrastive(weight=0.0), columns, 24)
    name = next(name for name in whole if name.endswith(("embeddings.weight", "wte.weight")))
    assert (whole[name] - plain[name]).abs().max() > 1e-4, "the side loss is part of it"


def cosines(bench: Any, net: Any, columns: Any) -> tuple[float, float]:
    """Mean cosine of the vectors of two rows: of one label, and of two."""
    arrays = bench.preprocessor.pad(bench.preprocessor.encode(columns["text"]))
    with torch.no_grad():
        vectors = net.eval().embed(**{name: torch.from_numpy(array) for name, array in arrays.items()})
    labels = torch.tensor([label == "pos" for label in columns["label"]])
    found = normalize(vectors, dim=-1) @ normalize(vectors, dim=-1).T
    alike, other = labels[:, None] == labels[None], ~torch.eye(len(labels), dtype=torch.bool)
    return float(found[alike & other].mean()), float(found[~alike].mean())


def test_the_loss_falls_and_labels_come_apart(bert: Any, make_rows: Any) -> None:
    """More so than by cross-entropy alone, on rows that were not trained on too."""
    columns, others = make_rows(64, seed=1), make_rows(64, seed=8)
    parts = (bert.objective("classification"), columns)
    settings: dict[str, Any] = {"epochs": 6, "batch_size": 32, "optimizer": ADAMW}
    plain = train(bert.job(parts, **settings))
    side = train(bert.job(parts, (contrastive(), columns), **settings))
    losses = [point["losses"]["supervised-contrastive"] for point in side.history if "losses" in point]
    assert losses[-1] < losses[0] - 0.3
    for rows in (columns, others):
        within, between = cosines(bert, side.net, rows)
        plain_within, plain_between = cosines(bert, plain.net, rows)
        assert within - between > 0.3
        assert within - between > 2 * (plain_within - plain_between)


def test_the_pooling_has_no_weights_and_is_no_new_head(bert: Any, make_rows: Any) -> None:
    columns = make_rows(32)
    said: list[str] = []
    job = bert.job((bert.objective("classification"), columns), (contrastive(), columns))
    job.say = said.append
    names = {name for name, _ in train(job).net.named_parameters()}
    assert names == set(bert.weights())
    assert not [text for text in said if "new for this model" in text]


@pytest.mark.slow
@pytest.mark.parametrize("micro", [None, 4])
def test_a_killed_stage_ends_with_the_same_weights(bert: Any, make_rows: Any, survives: Any, micro: int | None) -> None:
    def made(work: Path) -> Any:
        columns = make_rows(48)
        parts = [(bert.objective("classification"), columns), (contrastive(weight={"from": 1.0, "to": 0.2}), columns)]
        return bert.job(*parts, work=work, epochs=2, micro_batch=micro, checkpoint_minutes=0, optimizer=ADAMW)

    survives(made, 2, 4)


# ---- as a recipe ----


@pytest.fixture
def joint(tiny: Any) -> Any:
    """The tiny recipe with the side loss beside its task."""
    tiny.recipe["stages"][0]["objectives"].append({"type": "supervised-contrastive", "data": "train", "weight": 0.5})
    return tiny


def test_a_run_with_it_keeps_the_tasks_head_and_a_later_run_goes_on(joint: Any, hft_here: Any) -> None:
    import hft_core

    run = hft_core.run(joint.write())
    assert 0 <= run.metrics["validation"]["accuracy"] <= 1
    joint.recipe |= {"name": "on", "model": {"type": "bert", "source": str(run.folder), "max_length": 32}}
    outcome = hft_here("run", joint.write())
    assert outcome.code == 0, outcome.err
    assert "new for this model" not in outcome.out + outcome.err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"objectives": [{"type": "supervised-contrastive", "data": "train"}]},
         "a finetune stage needs an objective that trains the task"),
        ({"stage": "pretrain"}, "a pretrain stage has language-modelling objectives only"),
        ({"objectives": [{"type": "task", "data": "train"}, {"type": "supervised-contrastive", "data": "corpus"}]},
         "no data source 'corpus'"),
        ({"objectives": [{"type": "task", "data": "train"}, {"type": "supervised-contrastive", "data": "train", "name": "main"}]},
         "the name 'main' is taken"),
        ({"techniques": [{"type": "r-drop", "on": ["supervised-contrastive"]}]},
         "r-drop needs the loss of each row, and 'supervised-contrastive' compares rows with each other"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(joint: Any, hft_here: Any, change: dict[str, Any], message: str) -> None:
    joint.recipe["stages"][0] |= change
    outcome = hft_here("check", joint.write())
    assert outcome.code == 2
    assert message in outcome.err


def test_it_is_no_task_of_techniques(joint: Any, hft_here: Any) -> None:
    """By default a technique on the loss changes the task's alone, which is no reason against micro-batches."""
    joint.recipe["stages"][0] |= {"techniques": [{"type": "r-drop"}, {"type": "fgm"}], "micro_batch": 4}
    outcome = hft_here("check", joint.write())
    assert outcome.code == 0, outcome.err


def test_with_several_tasks_it_names_its_own(tiny: Any, hft_here: Any) -> None:
    task, data = tiny.recipe.pop("task"), tiny.recipe.pop("data")
    side = {"type": "supervised-contrastive", "data": "train"}
    tiny.recipe |= {"tasks": {"one": task, "two": task}, "data": {"one": data, "two": data}}
    both = [{"type": "task", "task": name, "data": "train"} for name in ("one", "two")]
    stage = tiny.recipe["stages"][0]
    stage["objectives"] = [*both, side | {"task": "one"}, side | {"task": "two", "name": "other"}]
    assert hft_here("check", tiny.write()).code == 0
    stage["objectives"] = [both[0], side | {"task": "two"}]
    tiny.recipe["stages"].append(stage | {"objectives": both})
    outcome = hft_here("check", tiny.write())
    assert outcome.code == 2
    assert (
        "supervised-contrastive is a loss beside that of the task 'two', which this stage does not train" in outcome.err
    )
