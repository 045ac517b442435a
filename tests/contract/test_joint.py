"""Shape 3: a task and masked language modelling on one backbone, two streams, grafted heads, a scheduled weight."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import hft_core
from hft_core.runtime import load

MASKED = {"type": "masked-lm", "data": "corpus", "weight": {"from": 0.5, "to": 0.0}}


@pytest.fixture
def joint(tiny: Any, reviews: Any) -> Any:
    """The tiny project with a corpus; dropout on, clipping on, two epochs."""
    texts = [row["review"] for row in reviews(90, seed=3)]
    (tiny.folder / "corpus.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
    tiny.recipe["data"]["corpus"] = {"type": "text", "path": "corpus.txt"}
    # A tokenizer of its own: one that is trained would change with the corpus.
    from hft_plugins.transformers import tokenizer

    tokenizer.train("wordpiece", 300, texts).save(str(tiny.folder / "tokenizer.json"))
    tiny.recipe["model"]["source"]["tokenizer"] = "tokenizer.json"
    stage = tiny.recipe["stages"][0]
    stage["epochs"] = 2
    stage["objectives"] = [{"type": "task", "data": "train"}, dict(MASKED)]
    return tiny


def weights(run: Any) -> dict[str, Any]:
    return load_file(run.model / "model.safetensors")


def stage_of(run: Any, recipe: Any) -> dict[str, Any]:
    note = json.loads((run.folder / "run.json").read_text("utf-8"))
    key = note["nodes"][next(name for name in note["nodes"] if name.startswith("stage"))]["key"]
    return json.loads((Path(note["store"]) / "objects" / key / "stage.json").read_text("utf-8"))  # type: ignore[no-any-return]


def test_it_trains_both_heads_and_exports(joint: Any, proven: Any) -> None:
    joint.recipe["export"] = [{"type": "onnx"}]
    joint.recipe["evaluate"] = {"metrics": [{"type": "accuracy"}, {"type": "perplexity"}]}
    run = hft_core.run(joint.write())
    history = stage_of(run, joint)["history"]
    curves = [point["losses"] for point in history if "losses" in point]
    assert all(set(point) == {"classification", "masked-lm"} for point in curves[:-1]), "the losses are logged apart"
    assert set(curves[-1]) == {"classification"}, "at its end the weight is 0: nothing was computed"
    held_out = [point["validation"] for point in history if "validation" in point]
    assert all({"masked-lm loss", "masked-lm perplexity", "accuracy"} <= set(point) for point in held_out)
    assert (run.model / "heads" / "masked-lm.safetensors").is_file()
    proven(run.bundle)
    answers = load(run.bundle).predict(["the film was good", "这家店很差"])
    assert [set(answer) for answer in answers] == [{"label", "score", "scores"}] * 2


def test_a_weight_of_nothing_is_the_stage_without_it(joint: Any) -> None:
    """Bit for bit, clipping, dropout and the other head's parameters notwithstanding."""
    joint.recipe["stages"][0]["objectives"][1]["weight"] = 0.0
    silent = hft_core.run(joint.write(), out=joint.folder / "silent")
    del joint.recipe["stages"][0]["objectives"][1]
    del joint.recipe["data"]["corpus"]
    alone = hft_core.run(joint.write(), out=joint.folder / "alone")
    first, second = weights(silent), weights(alone)
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_the_weight_is_felt(joint: Any) -> None:
    """The other side of the test above: with a weight the backbone is another one."""
    with_it = hft_core.run(joint.write(), out=joint.folder / "with")
    joint.recipe["stages"][0]["objectives"][1]["weight"] = 0.0
    without = hft_core.run(joint.write(), out=joint.folder / "without")
    assert not np.array_equal(*(weights(run)["bert.encoder.layer.0.output.dense.weight"] for run in (with_it, without)))


def test_the_weight_is_that_of_the_step(joint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """From 0.5 to 0 in a straight line, the first and the last step included."""
    from hft_core.training.batches import Batches

    seen: dict[int, float] = {}
    weight = Batches.weight

    def noting(self: Any, stream: Any, step: int) -> float:
        found = weight(self, stream, step)
        if stream.name == "masked-lm":
            seen[step] = found
        return found

    monkeypatch.setattr(Batches, "weight", noting)
    hft_core.run(joint.write())
    steps = len(seen)
    assert [seen[step] for step in range(steps)] == pytest.approx([0.5 - 0.5 * s / (steps - 1) for s in range(steps)])


@pytest.mark.slow
def test_a_silent_objective_is_left_out_of_a_pretrain_stage_too(joint: Any) -> None:
    """Where the best epoch is chosen by held-out loss, and where the silent one stands first."""
    texts = (joint.folder / "corpus.txt").read_text("utf-8").splitlines()
    (joint.folder / "other.txt").write_text("\n".join(reversed(texts[:40])) + "\n", encoding="utf-8")
    joint.recipe["data"]["other"] = {"type": "text", "path": "other.txt"}
    heard = {"type": "masked-lm", "data": "corpus"}
    silent = {"type": "masked-lm", "data": "other", "name": "nobody", "weight": {"from": 0, "to": 0}}
    read = {"stage": "pretrain", "epochs": 3, "optimizer": {"type": "adam", "lr": 0.003}}
    tune = joint.recipe["stages"][0] | {"objectives": [{"type": "task", "data": "train"}]}
    joint.recipe["stages"] = [read | {"objectives": [silent, heard]}, tune]
    both = hft_core.run(joint.write(), out=joint.folder / "both")
    joint.recipe["stages"] = [read | {"objectives": [heard]}, tune]
    del joint.recipe["data"]["other"]
    one = hft_core.run(joint.write(), out=joint.folder / "one")
    first, second = weights(both), weights(one)
    assert all(np.array_equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("weight", [{"from": 0.0, "to": 1.0}, {"from": 0.5, "to": 0.0}])
def test_the_first_objective_may_begin_or_end_with_nothing(joint: Any, weight: Any) -> None:
    joint.recipe["stages"][0]["objectives"][0]["weight"] = weight
    joint.recipe["stages"][0]["objectives"][1]["weight"] = 1.0
    assert "training loss of masked-lm" in hft_core.run(joint.write()).report.read_text("utf-8")


@pytest.mark.parametrize(
    ("weights_of", "said"),
    [
        ((0.0, {"from": 0, "to": 0}), "every objective has the weight 0, so there is nothing to learn"),
        ((-1.0, 1.0), "stages.0.objectives.0.weight"),
        ((1.0, {"from": 1, "to": -1}), "stages.0.objectives.1.weight.to"),
    ],
)
def test_weights_that_make_no_sense(joint: Any, hft_here: Any, weights_of: Any, said: str) -> None:
    for objective, weight in zip(joint.recipe["stages"][0]["objectives"], weights_of, strict=True):
        objective["weight"] = weight
    outcome = hft_here("check", joint.write())
    assert outcome.code == 2
    assert said in outcome.err, outcome.err
