"""A third party's sequence to sequence: two graphs, greedy decoding in numpy, text in and text out, from check to bundle."""

from __future__ import annotations

import csv
import gzip
import itertools
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

import hft_core

from .conftest import Pairs, pairs_project

MAX_TOKENS = 24

WORDS = ["red", "cat", "sits", "sun", "big"]
CHARACTERS = "猫狗山水"


@pytest.fixture(scope="module", autouse=True)
def installed(distribution: Any) -> Path:
    folder: Path = distribution("hft-seq2seq")
    return folder


def reversals() -> Pairs:
    """All orders of three words, and of three Chinese characters, each with its reverse; shuffled."""
    words = [(" ".join(some), " ".join(reversed(some))) for some in itertools.permutations(WORDS, 3)]
    chinese = [("".join(some), "".join(reversed(some))) for some in itertools.permutations(CHARACTERS, 3)]
    pairs = words * 4 + chinese * 4
    random.Random(0).shuffle(pairs)
    return pairs


def project(folder: Path, train: Pairs, validation: Pairs, model: dict[str, Any], **stage: Any) -> Path:
    """A recipe of a fresh model on these pairs."""
    task = {"type": "rewriting", "max_tokens": MAX_TOKENS}
    usual = {"optimizer": {"type": "adamw", "lr": 1e-2}}
    columns = ("source", "target")
    return pairs_project(folder, columns, train, validation, task, {"type": "tiny-t5"} | model, **usual | stage)


def generated(model: Path, texts: Sequence[str]) -> list[str]:
    """What transformers' own greedy generation writes, row by row."""
    from tokenizers import Tokenizer
    from transformers import T5ForConditionalGeneration

    net: Any = T5ForConditionalGeneration.from_pretrained(model).eval()
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    made = []
    for text in texts:
        ids = torch.tensor([tokenizer.encode(text).ids])
        written = net.generate(ids, do_sample=False, num_beams=1, max_new_tokens=MAX_TOKENS)
        made.append(tokenizer.decode(written[0].tolist(), skip_special_tokens=True))
    return made


@pytest.fixture(scope="module")
def reversing(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A finished run of the synthetic task; its validation pairs lie beside the recipe as dev.csv."""
    pairs = reversals()
    folder = tmp_path_factory.mktemp("reversing")
    return hft_core.run(project(folder, pairs[:240], pairs[240:], {"dropout": 0.0}, epochs=60))


def sources(run: Any) -> list[str]:
    """The validation texts of a run."""
    with (run.folder.parents[1] / "dev.csv").open(encoding="utf-8", newline="") as stream:
        return [row["source"] for row in csv.DictReader(stream)]


def test_it_learns_to_reverse_english_and_chinese(reversing: Any) -> None:
    assert reversing.metrics["validation"]["exact-text"] > 0.9
    assert [one["text"] for one in reversing.predict(["red cat sits", "山猫水"])] == ["sits cat red", "水猫山"]


def test_the_export_was_compared_with_the_model(reversing: Any, proven: Any) -> None:
    proven(reversing.bundle)
    parity = json.loads((reversing.bundle / "parity.json").read_text("utf-8"))
    gates = {gate["gate"]: gate for gate in parity["gates"]}
    assert {gate["verdict"] for gate in gates.values()} == {"passed"}
    assert {"encoder: numbers: hidden", "decoder: numbers: logits", "decisions: fp32", "exact-text: fp32"} <= set(gates)
    described = json.loads((reversing.bundle / "bundle.json").read_text("utf-8"))
    assert list(described["graphs"]) == ["encoder", "decoder"]
    assert described["requires"] == {"hft-seq2seq": "0.1.0"}


def test_the_bundle_writes_what_transformers_generates(reversing: Any) -> None:
    texts = list(dict.fromkeys(sources(reversing)))
    assert [one["text"] for one in reversing.predict(texts)] == generated(reversing.model, texts)


def test_the_commands_predict_and_verify(reversing: Any, hft_here: Any) -> None:
    verified = hft_here("verify", reversing.bundle)
    assert verified.code == 0, verified.err
    predicted = hft_here("predict", reversing.bundle, "big sun cat", "水山狗")
    assert predicted.code == 0, predicted.err
    answers = [json.loads(line) for line in predicted.out.splitlines()]
    assert [answer["text"] for answer in answers] == generated(reversing.model, ["big sun cat", "水山狗"])


def multi30k(data: Path, split: str, count: int) -> Pairs:
    files = [data / "multi30k" / f"{split}.{language}.gz" for language in ("en", "de")]
    english, german = (gzip.decompress(file.read_bytes()).decode("utf-8").split("\n")[:count] for file in files)
    return list(zip(english, german, strict=True))


@pytest.mark.slow
def test_english_to_german(data_dir: Path, tmp_path: Path) -> None:
    """Real captions: the model is far too small to translate, but what it writes is what transformers would write."""
    train, validation = multi30k(data_dir, "train", 300), multi30k(data_dir, "val", 60)
    run = hft_core.run(project(tmp_path, train, validation, {}, epochs=6))
    texts = [source for source, _ in validation[:20]]
    written = [one["text"] for one in run.predict(texts)]
    assert written == generated(run.model, texts)
    assert any(written)


def test_a_run_that_crashed_ends_with_the_same_weights(tmp_path: Path, crash_at: Any) -> None:
    """With dropout, and batches in pieces."""
    pairs = reversals()
    stage = {"epochs": 2, "batch_size": 16, "micro_batch": 6, "checkpoint_minutes": 0}

    def run(folder: Path) -> Any:
        return hft_core.run(project(folder, pairs[:64], pairs[240:], {}, **stage), overrides=["export=[]"])

    whole = run(tmp_path / "whole")
    for step in (2, 5):
        crash_at(step, lambda: run(tmp_path / "crashed"))
    again = run(tmp_path / "crashed")
    weights = [(one.model / "model.safetensors").read_bytes() for one in (whole, again)]
    assert weights[0] == weights[1]


def test_a_saved_net_gives_the_same_outputs(tmp_path: Path) -> None:
    from hft_seq2seq.model import TinyT5

    from hft_core import HeadSpec

    model = TinyT5(type="tiny-t5")
    preprocessor = model.preprocessor(None, [text for pair in reversals() for text in pair])
    heads = {"main": HeadSpec("seq2seq-lm")}
    net = model.build(None, preprocessor, heads).eval()
    net.save(tmp_path)
    preprocessor.save(tmp_path)
    again = model.build(tmp_path, model.preprocessor(tmp_path, []), heads).eval()
    batch = preprocessor.pad(preprocessor.encode(["red cat", "山水", "sits sun big"]))
    arrays = {name: torch.from_numpy(array) for name, array in batch.items()}
    arrays["decoder_input_ids"] = arrays["input_ids"].flip(1)
    with torch.no_grad():
        assert torch.equal(net("main", **arrays)["logits"], again("main", **arrays)["logits"])
        hidden = net.run("main", "encoder", **arrays)["hidden"]
        stepwise = net.run("main", "decoder", hidden=hidden, **arrays)["logits"]
        assert torch.equal(stepwise, net("main", **arrays)["logits"])  # two graphs are one forward pass
    held = [id(parameter) for part in net.parts() for parameter in part.module.parameters()]
    assert set(held) == {id(parameter) for parameter in net.parameters()}


def test_check_takes_the_recipe_and_names_what_is_wrong(tmp_path: Path, hft_here: Any) -> None:
    recipe = project(tmp_path, reversals()[:40], reversals()[40:60], {})
    assert hft_here("check", recipe).code == 0
    unfit = hft_here("check", recipe, "--set", "evaluate.metrics=[{type: accuracy}]")
    assert unfit.code == 2
    assert "nothing in this recipe gives what 'accuracy' needs (label)" in unfit.err
    missing = hft_here("plan", recipe, "--set", "model.source=nowhere")
    assert missing.code == 4
    assert "nowhere has no config.json" in missing.err


@pytest.mark.slow
def test_its_task_works_on_the_built_in_encoder_decoder(tmp_path: Path, proven: Any) -> None:
    """Task, objective and metric of one distribution, the model of another: graphs and special tokens are a contract."""
    source = {
        "scratch": "tiny", "tokenizer": {"type": "bpe", "size": 300}, "config": {"hidden_size": 32, "num_attention_heads": 2},
    }  # fmt: skip
    pairs = reversals()
    model = {"type": "t5", "source": source, "max_length": 64}
    run = hft_core.run(project(tmp_path, pairs[:60], pairs[240:280], model, epochs=2))
    proven(run.bundle)
    gates = json.loads((run.bundle / "parity.json").read_text("utf-8"))["gates"]
    wanted = {"encoder: numbers: cache", "decoder: numbers: cache", "decoder: numbers: logits"}
    assert wanted <= {gate["gate"] for gate in gates}
    texts = list(dict.fromkeys(source for source, _ in pairs[240:260]))
    written = [one["text"] for one in run.predict(texts)]
    assert written == generated(run.model, texts)
    assert any(written)
