"""Distillation: the loss is the one of the paper, and teachers that cannot teach are refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from hft_core import Context, HeadSpec, Loss, RecipeError
from hft_core.training.loop import train
from hft_plugins.optimizers.torch_optimizers import AdamW
from hft_plugins.techniques.distillation import Distillation
from hft_plugins.transformers import tokenizer
from hft_plugins.transformers.models import Bert

ADAMW = AdamW(type="adamw", lr=3e-3)


def teacher(folder: Path, **settings: Any) -> Bert:
    return Bert.model_validate({"type": "bert", "source": str(folder), **settings})


@pytest.fixture(scope="module")
def taught(bert: Any, make_rows: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that was trained to say `pos`, whatever it reads."""
    parts = (bert.objective("classification"), labelled("pos", make_rows))
    result = train(bert.job(parts, epochs=3, optimizer=ADAMW))
    folder = tmp_path_factory.mktemp("teacher")
    result.net.save(folder)
    bert.preprocessor.save(folder)
    return folder


def labelled(label: str, make_rows: Any) -> Any:
    rows = make_rows(96)
    return rows | {"label": [label] * len(rows["text"])}


def context(bench: Any, preprocessor: Any = None) -> Context:
    return Context(10, 0, {"main": bench.task.head(bench.facts)}, preprocessor or bench.preprocessor)


def probabilities(bench: Any, net: Any, make_rows: Any) -> torch.Tensor:
    arrays = bench.preprocessor.pad(bench.preprocessor.encode(make_rows(40, seed=5)["text"]))
    with torch.no_grad():
        found = net("main", **{name: torch.from_numpy(array) for name, array in arrays.items()})["logits"]
    softened: torch.Tensor = found.softmax(-1)
    return softened


STUDENT, TEACHER = (
    torch.tensor([[2.0, -1.0], [0.3, 0.1], [-1.0, 4.0]]),
    torch.tensor([[1.0, 0.0], [2.0, 0.1], [0.0, 3.0]]),
)


def mixed(labels: torch.Tensor, student: torch.Tensor, other: torch.Tensor, **settings: Any) -> Loss:
    """The technique's loss, with the logits of both given."""
    module = torch.nn.Module()

    def compute(batch: dict[str, torch.Tensor], net: Any = None) -> Loss:
        logits = student if net is None else other
        if net is not None:
            assert not torch.is_grad_enabled()
            assert net is module
        plain = cross_entropy(logits.flatten(0, -2), batch["labels"].flatten(), ignore_index=-100, reduction="sum")
        return Loss(plain, {"logits": logits})

    model = teacher(Path("/nowhere"))
    technique = Distillation(type="distillation", teacher=model, **settings)
    return technique.loss(compute, {"labels": labels}, module)


@pytest.mark.parametrize(("weight", "temperature"), [(0.5, 2.0), (0.2, 1.0), (1.0, 4.0)])
def test_the_loss_is_that_of_the_paper(weight: float, temperature: float) -> None:
    labels = torch.tensor([0, 1, 1])
    p, q = (TEACHER / temperature).softmax(-1), (STUDENT / temperature).softmax(-1)
    divergence = (p * (p / q).log()).sum()
    expected = (1 - weight) * cross_entropy(STUDENT, labels, reduction="sum") + weight * temperature**2 * divergence
    found = mixed(labels, STUDENT, TEACHER, weight=weight, temperature=temperature)
    torch.testing.assert_close(found.sum, expected)
    assert torch.equal(found.outputs["logits"], STUDENT)


def test_only_labelled_tokens_count() -> None:
    student, other = (torch.cat([logits, 9 * torch.randn(1, 2)])[None].repeat(2, 1, 1) for logits in (STUDENT, TEACHER))
    labels = torch.tensor([[0, 1, 1, -100], [-100, 1, -100, -100]])
    once = mixed(torch.tensor([0, 1, 1]), STUDENT, TEACHER).sum
    torch.testing.assert_close(
        mixed(labels, student, other).sum, once + mixed(torch.tensor([1]), STUDENT[1:2], TEACHER[1:2]).sum
    )


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({"logits": STUDENT}, r"no array of classes \(labels or targets\) for its logits \[3, 2\]"),
        ({"embedding": STUDENT}, r"gives no `logits` \(but embedding\)"),
    ],
)
def test_outputs_without_one_class_each_are_refused(outputs: dict[str, torch.Tensor], message: str) -> None:
    technique = Distillation(type="distillation", teacher=teacher(Path("/nowhere")))
    batch = {"labels": torch.ones(3, 2)}
    with pytest.raises(RecipeError, match=message):
        technique.loss(lambda batch, net=None: Loss(STUDENT.sum(), outputs), batch, torch.nn.Module())


@pytest.mark.slow
def test_a_student_comes_to_answer_as_its_teacher(bert: Any, make_rows: Any, taught: Path) -> None:
    """On rows that are all labelled `neg`, with a teacher that says `pos`: the more it weighs, the more it is believed."""
    parts = (bert.objective("classification"), labelled("neg", make_rows))
    said = []
    for weight in (0.0, 0.5, 1.0):
        techniques = [Distillation(type="distillation", teacher=teacher(taught), weight=weight)] if weight else []
        result = train(bert.job(parts, techniques=techniques, epochs=4, optimizer=ADAMW))
        said.append(float(probabilities(bert, result.net, make_rows)[:, 1].mean()))
    assert said[0] < 0.05 < said[1] < 0.95 < said[2], said


def test_the_teacher_is_no_part_of_what_is_trained(bert: Any, taught: Path) -> None:
    net = bert.model.build(bert.start, bert.preprocessor, context(bert).heads)
    names = [name for name, _ in net.named_parameters()]
    state = Distillation(type="distillation", teacher=teacher(taught)).prepare(net, context(bert))
    assert [name for name, _ in net.named_parameters()] == names
    assert not any(module.training for module in state.modules())
    assert not any(parameter.requires_grad for parameter in state.parameters())


def test_a_teacher_that_is_the_student_pulls_nowhere(bert: Any, make_rows: Any, taught: Path) -> None:
    """Without dropout, a student that begins as its teacher agrees with it: with weight 1 it does not move at first."""
    parts = (bert.objective("classification"), make_rows(16))
    technique = Distillation(type="distillation", teacher=teacher(taught), weight=1.0)
    result = train(bert.job(parts, start=taught, techniques=[technique]))
    start = bert.weights(taught)
    for name, value in result.net.named_parameters():
        torch.testing.assert_close(value.detach(), start[name], atol=1e-6, rtol=0)


def test_micro_batches_change_nothing(bert: Any, make_rows: Any, taught: Path) -> None:
    ends = []
    for micro in (16, 5):
        technique = Distillation(type="distillation", teacher=teacher(taught))
        parts = (bert.objective("classification"), make_rows(32))
        ends.append(dict(train(bert.job(parts, techniques=[technique], micro_batch=micro)).net.named_parameters()))
    for name, value in ends[0].items():
        torch.testing.assert_close(value.detach(), ends[1][name].detach(), atol=1e-6, rtol=1e-4)


def test_a_language_model_is_taught_token_by_token(bert: Any, make_rows: Any) -> None:
    parts = (bert.objective("masked-lm"), make_rows(48))
    start = bert.weights(None, "masked-lm")
    technique = Distillation(type="distillation", teacher=teacher(bert.start), on=["masked-lm"], weight=1.0)
    still = dict(train(bert.job(parts, techniques=[technique])).net.named_parameters())
    for name, value in still.items():
        torch.testing.assert_close(value.detach(), start[name], atol=1e-6, rtol=0)


REFUSALS: dict[str, Callable[..., tuple[Any, str]]] = {
    "untrained": lambda bench, folder, other: (
        bench.model,
        r"the teacher \(bert, tiny size, from scratch\) is untrained; set its `source:`",
    ),
    "vocabulary": lambda bench, folder, other: (teacher(other), "another vocabulary than the model that is trained"),
    "too short": lambda bench, folder, other: (
        teacher(folder, max_length=16),
        "takes 16 tokens at most, the model that is trained 64; set `max_length: 16` in the recipe's model",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_teacher_that_cannot_read_along_is_refused(
    bert: Any, make_rows: Any, taught: Path, tmp_path: Path, case: str
) -> None:
    other = tmp_path / "other"
    shutil.copytree(taught, other)
    tokenizer.train("wordpiece", 330, ["quite other words, of another corpus"] * 3).save(str(other / "tokenizer.json"))
    model, message = REFUSALS[case](bert, taught, other)
    net = bert.model.build(bert.start, bert.preprocessor, context(bert).heads)
    with pytest.raises(RecipeError, match=message):
        Distillation(type="distillation", teacher=model).prepare(net, context(bert))


def test_a_teacher_without_the_head_is_refused_before_the_first_step(bert: Any, make_rows: Any, tmp_path: Path) -> None:
    net = bert.model.build(bert.start, bert.preprocessor, {"masked-lm": HeadSpec("masked-lm")})
    net.save(tmp_path)
    bert.preprocessor.save(tmp_path)
    job = bert.job(
        (bert.objective("classification"), make_rows(32)),
        techniques=[Distillation(type="distillation", teacher=teacher(tmp_path))],
    )
    job.advance = lambda step, steps, figures: pytest.fail("a step was done")
    with pytest.raises(RecipeError, match="has no trained head for 'main' with the same labels"):
        train(job)


def test_a_killed_stage_ends_with_the_same_weights(bert: Any, make_rows: Any, taught: Path, survives: Any) -> None:
    def made(work: Path) -> Any:
        technique = Distillation(type="distillation", teacher=teacher(taught))
        parts = (bert.objective("classification"), make_rows(64))
        return bert.job(parts, work=work, techniques=[technique], optimizer=ADAMW, checkpoint_minutes=0)

    survives(made, 3)


@pytest.mark.slow
def test_an_earlier_run_teaches(make_tiny: Any, hft_here: Any, tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path / "project")
    assert hft_here("run", tiny.write("teacher.yaml")).code == 0
    run = tiny.folder / "runs" / tiny.recipe["name"]
    tiny.recipe |= {"name": "student", "model": {"type": "bert", "source": str(run), "max_length": 32}}
    model = {"type": "bert", "source": str(run), "max_length": 32}
    tiny.recipe["stages"][0]["techniques"] = [{"type": "distillation", "teacher": model}]
    outcome = hft_here("run", tiny.write("student.yaml"))
    assert outcome.code == 0, outcome.err
