"""A third party's contrastive learning: rows that couple, a head of its own on hft's `bert`, from check to bundle.

That its gradients are right, in pieces and over processes, stands in test_gradient_scale.py.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import hft_core

from .conftest import Pairs, pairs_project, write_pairs

WORDS = {"red": "rot", "cat": "Katze", "sun": "Sonne", "big": "groß", "house": "Haus", "water": "水", "mountain": "山"}
WORDS |= {"tea": "茶", "good": "gut", "day": "Tag", "light": "Licht", "tree": "树"}
COLUMNS = ("anchor", "positive")


@pytest.fixture(scope="module", autouse=True)
def installed(distribution: Callable[[str], Path]) -> Path:
    return distribution("hft-contrastive")


def translations(count: int, seed: int) -> Pairs:
    """Two to five words, and the same in other languages, in another order."""
    draw = random.Random(seed)
    pairs = []
    for _ in range(count):
        chosen = draw.sample(sorted(WORDS), draw.randint(2, 5))
        others = [WORDS[word] for word in chosen]
        draw.shuffle(others)
        pairs.append((" ".join(chosen), " ".join(others)))
    return pairs


def project(folder: Path, rows: int = 64, **stage: Any) -> Path:
    """A recipe of a fresh model on such pairs."""
    task = {"type": "text-pairs", "size": 16}
    source = {"scratch": "tiny", "tokenizer": {"type": "wordpiece", "size": 200}}
    model = {"type": "bert", "source": source, "max_length": 32}
    usual = {"batch_size": 32, "micro_batch": 8, "optimizer": {"type": "adamw", "lr": 1e-3}}
    train, validation = translations(rows, 0), translations(120, 1)
    return pairs_project(folder, COLUMNS, train, validation, task, model, **usual | stage)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return hft_core.run(project(tmp_path_factory.mktemp("trained"), rows=320, epochs=12))


@pytest.mark.slow
def test_it_learns_to_find_the_other_text(trained: Any) -> None:
    assert trained.metrics["validation"]["pair-retrieval"] > 0.5  # chance is below 0.05
    near, far = trained.predict(
        [
            {"anchor": "red cat", "positive": "Katze rot"},
            {"anchor": "red cat", "positive": "山 Tag 茶"},
        ]
    )
    assert near["score"] > far["score"] + 0.2


def test_the_export_was_compared_with_the_model(trained: Any) -> None:
    parity = json.loads((trained.bundle / "parity.json").read_text("utf-8"))
    gates = {gate["gate"]: gate for gate in parity["gates"]}
    assert {gate["verdict"] for gate in gates.values()} == {"passed"}
    assert {"numbers: embedding", "decisions: fp32", "pair-retrieval: fp32"} <= set(gates)
    described = json.loads((trained.bundle / "bundle.json").read_text("utf-8"))
    assert described["graphs"]["model"]["outputs"] == {"embedding": ["batch", 16]}
    assert described["text"] == ["anchor", "positive"]
    assert described["requires"] == {"hft-contrastive": "0.1.0"}


def test_the_commands_predict_and_verify(trained: Any, hft_here: Any, tmp_path: Path) -> None:
    verified = hft_here("verify", trained.bundle)
    assert verified.code == 0, verified.err
    write_pairs(tmp_path / "new.csv", COLUMNS, [("red cat", "Katze rot"), ("tea", "水")])
    predicted = hft_here("predict", trained.bundle, "--file", tmp_path / "new.csv")
    assert predicted.code == 0, predicted.err
    answers = [json.loads(line) for line in predicted.out.splitlines()]
    assert [answer["anchor"] for answer in answers] == ["red cat", "tea"]
    for answer in answers:
        one, two = np.array(answer["vectors"])
        assert np.linalg.norm(one) == pytest.approx(1)
        assert answer["score"] == pytest.approx(float(one @ two))


@pytest.mark.slow
def test_a_run_that_crashed_ends_with_the_same_weights(tmp_path: Path, crash_at: Any) -> None:
    """With dropout and cached gradients: four pieces a step, joined by masked language modelling."""
    objectives = [
        {"type": "task", "data": "train"},
        {"type": "masked-lm", "data": "train", "weight": {"from": 0.5, "to": 0.1}},
    ]

    def run(folder: Path) -> Any:
        recipe = project(folder, epochs=3, checkpoint_minutes=0, objectives=objectives)
        return hft_core.run(recipe, overrides=["export=[]"])

    whole = run(tmp_path / "whole")
    for step in (1, 4):
        crash_at(step, lambda: run(tmp_path / "crashed"))
    again = run(tmp_path / "crashed")
    files = sorted(file.relative_to(whole.model) for file in whole.model.rglob("*.safetensors"))
    assert len(files) > 1  # the backbone, and heads beside it
    assert [(whole.model / file).read_bytes() for file in files] == [
        (again.model / file).read_bytes() for file in files
    ]


def test_a_later_run_starts_from_the_model_with_its_head(trained: Any) -> None:
    """Save, then rebuild: backbone and head come back, and nothing is new."""
    from hft_contrastive.task import TextPairs

    from hft_plugins.transformers.models import Bert

    model = Bert(type="bert", source=trained.model, max_length=32)
    preprocessor = model.preprocessor(trained.model, [])
    heads = {"main": TextPairs(type="text-pairs").head({})}
    net = model.build(trained.model, preprocessor, heads).eval()
    assert not net.new_heads
    batch = preprocessor.pad(preprocessor.encode(["red cat", "茶 树"]))
    with torch.no_grad():
        made = net("main", **{name: torch.from_numpy(array) for name, array in batch.items()})["embedding"]
    made = torch.nn.functional.normalize(made, dim=1).numpy()
    [answer] = trained.predict([{"anchor": "red cat", "positive": "茶 树"}])
    np.testing.assert_allclose(made, answer["vectors"], atol=1e-5)


def test_a_plain_loss_is_refused_in_pieces_and_trains_whole(tmp_path: Path, hft_here: Any) -> None:
    recipe = project(tmp_path, objectives=[{"type": "contrastive-plain", "data": "train"}])
    refused = hft_here("check", recipe)
    assert refused.code == 2
    message = (
        "'contrastive-plain' couples the rows of a batch and has no `vectors`, so a batch of 32 cannot be computed"
    )
    assert message in refused.err
    assert "in pieces of 8; raise `micro_batch`, or lower `batch_size`" in refused.err
    assert hft_here("check", recipe, "--set", "stages.0.micro_batch=32").code == 0
    run = hft_core.run(recipe, overrides=["stages.0.micro_batch=null", "export=[]"])
    assert 0 <= run.metrics["validation"]["pair-retrieval"] <= 1


def test_check_takes_the_recipe_and_names_what_is_wrong(tmp_path: Path, hft_here: Any) -> None:
    recipe = project(tmp_path)
    assert hft_here("check", recipe).code == 0
    cold = hft_here("check", recipe, "--set", "stages.0.objectives=[{type: contrastive, data: train, temperature: 0}]")
    assert cold.code == 2
    assert "temperature" in cold.err
