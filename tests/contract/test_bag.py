"""Shape 7: a model that is not from transformers, with a preprocessor of its own, in an engine that knows neither."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import hft_core
from hft_core import HeadSpec
from hft_core.registry import load_registry
from hft_core.runtime import load

RECIPE = {
    "stage": "finetune",
    "objectives": [{"type": "task", "data": "train"}],
    "epochs": 2,
    "batch_size": 8,
    "checkpoint_minutes": 0,
    "optimizer": {"type": "adamw", "lr": 0.05},
    "techniques": [{"type": "layerwise-decay", "rate": 0.9}, {"type": "ema", "decay": 0.9}],
}
TEXTS = ["the film was good", "这家店很差", "", "😀 lovely"]


@pytest.fixture
def bag(tiny: Any, distribution: Any) -> Any:
    """The tiny project with the bag in place of BERT."""
    distribution("hft-bag")
    tiny.recipe["model"] = {"type": "bag", "buckets": 512, "width": 16}
    tiny.recipe["stages"] = [dict(RECIPE)]
    tiny.recipe["prepare"] = {"clean": [{"type": "unicode"}]}
    return tiny


def test_it_is_listed_checked_and_in_the_schema(bag: Any, hft_here: Any) -> None:
    assert "is valid" in hft_here("check", bag.write()).out
    assert set(json.loads(hft_here("schema").out)["$defs"]["Bag"]["properties"]) >= {"buckets", "width", "longest"}
    bag.recipe["model"]["bucket"] = bag.recipe["model"].pop("buckets")
    outcome = hft_here("check", bag.write())
    assert outcome.code == 2
    line = next(
        n for n, text in enumerate((bag.folder / "recipe.yaml").read_text().splitlines(), 1) if "bucket" in text
    )
    assert f"line {line}" in outcome.err
    assert "'buckets'" in outcome.err


def _agree_under_any_padding(run: Any, settings: Any) -> None:
    """The gates draw numbers at random, for this graph has no mask; its padding is a number, on whatever side."""
    from hft_bag.model import Bag

    from hft_core.runtime.session import OnnxCall

    described = json.loads((run.bundle / "bundle.json").read_text("utf-8"))
    model = Bag.model_validate(settings)
    head = HeadSpec("sequence-classification", size=2)
    net = model.build(run.model, model.preprocessor(run.model, []), {"main": head}).eval()
    exported = OnnxCall({"model": run.bundle / described["graphs"]["model"]["files"]["fp32"]})
    draw = np.random.default_rng(3)
    for rows, length in ((1, 1), (2, 2), (1, 7), (3, 7), (1, 16), (5, 33), (4, 64), (2, 200), (1, 512)):
        for padding in (slice(length // 2, None), slice(0, length // 2), slice(length // 3, 2 * length // 3)):
            grams = draw.integers(1, model.buckets, (rows, length))
            grams[:, padding] = 0
            with torch.no_grad():
                wanted = net("main", grams=torch.from_numpy(grams))["logits"].numpy()
            found = exported("model", grams=grams)["logits"]
            assert np.abs(wanted - found).max() <= 1e-4 * max(1.0, np.abs(wanted).max())
            assert (wanted.argmax(1) == found.argmax(1)).all()


def test_it_trains_evaluates_and_exports(bag: Any, python_path: Any, hft: Any, proven: Any) -> None:
    bag.recipe["export"] = [{"type": "onnx"}]
    run = hft_core.run(bag.write())
    assert run.metrics["validation"]["accuracy"] > 0.7  # majority: 0.5
    described = json.loads((run.bundle / "bundle.json").read_text("utf-8"))
    assert described["requires"] == {"hft-bag": "0.1.0"}
    assert described["preprocessor"]["module"] == "hft_bag.preprocess"
    assert described["graphs"]["model"]["inputs"] == {"grams": ["batch", "sequence"]}
    proven(run.bundle)
    _agree_under_any_padding(run, bag.recipe["model"])

    block = bag.folder / "block"  # torch and transformers cannot be imported
    for name in ("torch", "transformers"):
        (block / name).mkdir(parents=True)
        (block / name / "__init__.py").write_text("raise ImportError('blocked')", encoding="utf-8")
    path = f"{block}:{python_path('hft-bag')}"
    answered = hft("predict", run.bundle, *TEXTS, PYTHONPATH=path)
    assert answered.code == 0, answered.err
    answers = [json.loads(line) for line in answered.out.splitlines()]
    for answer, known in zip(answers, load(run.bundle).predict(TEXTS), strict=True):
        assert answer["label"] == known["label"]
        assert answer["score"] == pytest.approx(known["score"], abs=1e-6)
    verified = hft("verify", run.bundle, PYTHONPATH=path)
    assert verified.code == 0, verified.err
    refused = hft("verify", run.bundle)
    assert refused.code == 4
    assert "pip install hft-bag==0.1.0" in refused.err


def test_no_script_is_added_that_cannot_read_its_input(bag: Any) -> None:
    bag.recipe["export"] = [{"type": "onnx"}]
    assert not (hft_core.run(bag.write()).bundle / "predict.py").exists()


def test_what_is_saved_is_what_is_built_again(bag: Any, tmp_path: Path) -> None:
    import torch

    from hft_core import HeadSpec

    model = load_registry().classes("model")["bag"](type="bag", width=8)
    preprocessor = model.preprocessor(None, ())
    heads = {"main": HeadSpec("sequence-classification", size=3)}
    net = model.build(None, preprocessor, heads).eval()
    net.save(tmp_path)
    again = model.build(tmp_path, preprocessor, heads | {"more": HeadSpec("sequence-classification", size=2)}).eval()
    grams = torch.from_numpy(preprocessor.pad(preprocessor.encode(TEXTS))["grams"])
    assert grams.shape[0] == len(TEXTS)
    assert (grams[2] == 0).all()
    assert len(np.unique(grams[1].numpy())) > 5, "a text without spaces has n-grams too"
    assert torch.equal(net("main", grams=grams)["logits"], again("main", grams=grams)["logits"])
    assert again.new_heads == {"more"}
    with pytest.raises(hft_core.PluginError, match="masked-lm"):
        model.build(None, preprocessor, {"main": HeadSpec("masked-lm")})


def test_a_run_that_dies_continues_to_the_same_weights(
    bag: Any, crash_at: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = []
    for name, crashes in (("whole", False), ("dying", True)):
        monkeypatch.setenv("HFT_STORE", str(tmp_path / name))
        if crashes:
            crash_at(5, lambda: hft_core.run(bag.write()))
            assert list((tmp_path / name / "work").glob("*/step-*"))
        weights.append((hft_core.run(bag.write()).model / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]
