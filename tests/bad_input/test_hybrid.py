"""What is wrong with a later stage is said by `hft check`, or before the first stage takes a step: nothing is trained first."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

SCRATCH = {"scratch": "tiny", "tokenizer": {"type": "wordpiece", "size": 300}}
GPT = {"type": "gpt", "source": {"scratch": "tiny", "tokenizer": {"type": "bpe", "size": 300}}, "max_length": 32}
T5 = {"type": "t5", "source": {"scratch": "tiny", "tokenizer": {"type": "unigram", "size": 150}}, "max_length": 32}
TASK = {"type": "task", "data": "train"}
MASKED = {"type": "masked-lm", "data": "train"}
CAUSAL = {"type": "causal-lm", "data": "train"}


@pytest.fixture
def second(tiny: Any) -> Callable[..., Any]:
    """Give ``second(model=…, **settings)``: a recipe whose first stage is sound, and whose second has these settings."""

    def make(model: Mapping[str, Any] | None = None, **settings: Any) -> Any:
        first = {"stage": "pretrain", "name": "first", "objectives": [MASKED], "epochs": 1}
        if model is not None:
            tiny.recipe["model"] = model
            first["objectives"] = [CAUSAL]
        later = {"stage": "finetune", "name": "second", "objectives": [TASK], "epochs": 1} | settings
        tiny.recipe["stages"] = [first, later]
        return tiny

    return make


@pytest.fixture
def nothing_trained(tmp_path: Path) -> Callable[[Any], None]:
    """Give ``nothing_trained(outcome)``: holds that no stage has begun."""

    def check(outcome: Any) -> None:
        assert "first trying" not in outcome.out + outcome.err
        store = tmp_path / "store"
        assert not list((store / "objects").glob("*/stage.json"))
        assert not list((store / "work").glob("*/metrics.jsonl"))
        assert not list((store / "work").glob("*/step-*"))

    return check


MISFITS = [
    (None, {"stage": "pretrain", "objectives": [CAUSAL]},
     "causal-lm trains the head 'causal-lm', which the model 'bert' cannot have (it can have masked-lm, "),
    (None, {"stage": "pretrain", "objectives": [{"type": "span-corruption", "data": "train"}]},
     "span-corruption trains the head 'seq2seq-lm', which the model 'bert' cannot have"),
    (GPT, {"stage": "pretrain", "objectives": [MASKED]},
     "masked-lm trains the head 'masked-lm', which the model 'gpt' cannot have (it can have causal-lm, "),
    (T5, {}, "classification trains the head 'sequence-classification', which the model 't5' cannot have (it can have seq2seq-"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "settings", "message"), MISFITS, ids=[text.split(",")[0] for *_, text in MISFITS])
def test_an_objective_that_does_not_fit_the_model(
    second: Any, hft_here: Any, refused: Any, model: Any, settings: dict[str, Any], message: str
) -> None:
    recipe = second(model, **settings).write()
    refused(
        hft_here("check", recipe), "recipe", "line ", "stages.1.objectives.0", message,
        "take an objective for one of these, or a model of another type",
    )  # fmt: skip


def test_a_coupled_loss_in_pieces(second: Any, hft_here: Any, refused: Any) -> None:
    """Its cached gradients are for the plain loss, not for one that a technique changes."""
    contrastive = {"type": "supervised-contrastive", "data": "train"}
    settings = {"micro_batch": 8, "techniques": [{"type": "fgm", "on": ["supervised-contrastive"]}]}
    recipe = second(objectives=[TASK, contrastive], **settings).write()
    refused(hft_here("check", recipe), "recipe", "line ", "stages.1.micro_batch", "cannot be computed in pieces of 8")


FAULTS: dict[str, tuple[dict[str, Any], str, str]] = {
    "pattern": ({"techniques": [{"type": "freeze", "patterns": ["nothing\\.like"]}]},
                "the pattern 'nothing\\\\.like' is found in no name of a parameter", "nearest are "),
    "part": ({"techniques": [{"type": "freeze", "parts": ["embedings"]}]},
             "'embedings' means no part of this model that is trained", "name one of embeddings"),
    "rates": ({"techniques": [{"type": "rates", "factors": {"layer.9": 0.1}}]},
              "'layer.9' means no part of this model that is trained", "name one of embeddings"),
    "targets": ({"techniques": [{"type": "lora", "targets": ["no_such_projection"]}]},
                "no_such_projection", "technique lora"),
    "lora and freeze": ({"techniques": [{"type": "lora"}, {"type": "freeze", "patterns": ["lora_"]},
                                        {"type": "freeze", "parts": ["head"]}]},
                        "nothing is left to train", "freeze less"),
    "nothing trained": ({"objectives": [TASK, MASKED],
                         "techniques": [{"type": "freeze", "parts": ["embeddings", "layer", "head.masked-lm"]}]},
                        "objective masked-lm: it would train nothing", "leave it out, or freeze less"),
    "untrained teacher": ({"techniques": [{"type": "distillation", "teacher": {"type": "bert", "source": SCRATCH}}]},
                          "is untrained", "set its `source:` to a trained model"),
    "early stopping": ({"early_stopping": 2}, "`early_stopping` watches the figure", "Give more rows, or leave it out"),
    "plateau": ({"plateau": {"patience": 1}}, "`plateau` watches the figure", "Give more rows, or leave it out"),
    "warm-up": ({"schedule": {"type": "linear", "warmup": 500}},
                "the warm-up takes 500 steps, and the stage has 2", "lower `warmup`"),
    "average": ({"techniques": [{"type": "swa", "start": 0.9}]}, "its last weights alone", "lower `start`"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_later_stage_that_cannot_begin(
    second: Any, hft_here: Any, refused: Any, nothing_trained: Any, fault: str
) -> None:
    """What only the net or the encoded rows can tell: where, what was found, what to do."""
    settings, found, advice = FAULTS[fault]
    recipe = second(**settings).write()
    assert hft_here("check", recipe).code == 0
    outcome = hft_here("run", recipe)
    refused(outcome, "recipe", "stage second: ", found, advice)
    nothing_trained(outcome)


def test_a_metric_that_a_later_stage_cannot_compute(
    second: Any, hft_here: Any, refused: Any, nothing_trained: Any
) -> None:
    project = second()
    project.recipe["evaluate"] = {"metrics": [{"type": "f1", "average": "binary", "positive": "yes"}]}
    outcome = hft_here("run", project.write())
    refused(outcome, "recipe", "stage second: ", "metric f1: ", "one of neg, pos; found 'yes'")
    nothing_trained(outcome)


def test_a_teacher_whose_head_nobody_trained(
    second: Any, hft_here: Any, refused: Any, nothing_trained: Any, tmp_path: Path
) -> None:
    """It is a trained model, only not of this task: its loss has to be computed to see it."""
    project = second()
    earlier = {name: project.recipe[name] for name in ("name", "model")} | {
        "data": {"corpus": {"type": "text", "path": "train.csv"}},
        "stages": [{"stage": "pretrain", "objectives": [{"type": "masked-lm", "data": "corpus"}], "epochs": 1}],
    }
    (project.folder / "earlier.yaml").write_text(json.dumps(earlier), "utf-8")
    before = {"HFT_STORE": str(tmp_path / "other")}
    outcome = hft_here("run", project.folder / "earlier.yaml", "--out", tmp_path / "earlier", **before)
    assert outcome.code == 0, outcome.err
    trained = {"type": "bert", "source": str(tmp_path / "earlier" / "model"), "max_length": 32}
    project.recipe["model"] = trained
    project.recipe["stages"][1]["techniques"] = [{"type": "distillation", "teacher": trained}]
    outcome = hft_here("run", project.write())
    refused(outcome, "recipe", "stage second: ", "has no trained head for 'main'", "Train it on this task first")
    nothing_trained(outcome)


def test_a_block_beyond_the_longest_input(second: Any, hft_here: Any, refused: Any, nothing_trained: Any) -> None:
    project = second(GPT, stage="pretrain", objectives=[CAUSAL | {"block": 64}])
    outcome = hft_here("run", project.write())
    refused(outcome, "recipe", "objective causal-lm: `block: 64` is beyond the 32 tokens", "lower it, or raise")
    nothing_trained(outcome)


def test_inputs_beyond_the_positions(second: Any, hft_here: Any, refused: Any, nothing_trained: Any) -> None:
    project = second()
    project.recipe["model"]["max_length"] = 5000
    outcome = hft_here("run", project.write())
    refused(outcome, "plugin", "max_length 5000 is beyond the ", "lower it")
    nothing_trained(outcome)


def test_a_corpus_of_the_later_stage_without_a_usable_row(
    second: Any, hft_here: Any, refused: Any, nothing_trained: Any
) -> None:
    project = second(objectives=[TASK, {"type": "masked-lm", "data": "corpus"}])
    project.recipe["data"]["corpus"] = {"type": "text", "path": "corpus.txt"}
    project.recipe["prepare"] = {"clean": [{"type": "length", "minimum": 10}]}
    (project.folder / "corpus.txt").write_text("short\ntoo\n", "utf-8")
    outcome = hft_here("run", project.write())
    refused(outcome, "data", "corpus", "no usable row")
    nothing_trained(outcome)


def test_what_can_begin_is_tried_once(second: Any, hft_here: Any, tmp_path: Path) -> None:
    """A change of the second stage tries both again, and trains the second only."""
    recipe = second().write()
    outcome = hft_here("run", recipe)
    assert outcome.code == 0, outcome.err
    assert "try stages: stage second can begin: 2 steps" in outcome.err
    assert "try stages: in the store already" in hft_here("run", recipe).err
    again = hft_here("run", recipe, "--set", "stages.1.clip=0.5").err
    assert "try stages: done" in again
    assert "stage first: in the store already" in again
    assert "stage second: done" in again


def test_a_single_stage_is_tried_by_itself(tiny: Any, hft_here: Any) -> None:
    outcome = hft_here("plan", tiny.write())
    assert outcome.code == 0
    assert "try stages" not in outcome.out
