"""Whose head is whose: by name, by labels, by size; and names that torch modules use themselves."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from hft_core import HeadSpec, PluginError

LABELLED = HeadSpec("sequence-classification", size=2, labels=("neg", "pos"))
FIVE = HeadSpec("sequence-classification", size=5)
TORCH_NAMES = [
    "keys", "values", "items", "pop", "update", "type", "training", "forward", "train", "eval", "half", "T_destination",
    "_modules", "__class__", "head_", "masked-lm-2", "情感",
]  # fmt: skip


def saved(bench: Any, folder: Path, heads: dict[str, HeadSpec], start: Path | None = None) -> Path:
    folder.mkdir()
    built(bench, heads, start or bench.start).save(folder)
    return folder


def built(bench: Any, heads: dict[str, HeadSpec], start: Path) -> Any:
    return bench.model.build(start, bench.preprocessor, heads).eval()


def classifier(net: Any, name: str) -> torch.Tensor:
    """The output layer's weights, [size, width]."""
    head = net.heads[name]
    weight: torch.Tensor = (head.classifier if hasattr(head, "classifier") else head.score).weight
    return weight


@pytest.fixture(params=["bert", "gpt"])
def bench(request: Any) -> Any:
    return request.getfixturevalue(request.param)


@pytest.fixture
def plain(bench: Any, tmp_path: Path) -> Path:
    """A folder as the hub has it: a classifier whose name nobody noted."""
    folder = saved(bench, tmp_path / "plain", {"main": LABELLED})
    (folder / "heads.json").unlink(missing_ok=True)
    return folder


# ---- by name ----


def test_a_second_task_does_not_start_from_the_first_ones_head(bench: Any, tmp_path: Path) -> None:
    """Stage 1 trains b; stage 2 trains a, and carries b along."""
    folder = saved(bench, tmp_path / "one", {"b": LABELLED})
    before = classifier(built(bench, {"b": LABELLED}, folder), "b")
    net = built(bench, {"a": LABELLED, "b": LABELLED}, folder)
    assert net.new_heads == {"a"}
    assert torch.equal(classifier(net, "b"), before)
    assert not torch.equal(classifier(net, "a"), before)
    again = built(bench, {"b": LABELLED, "a": LABELLED}, saved(bench, tmp_path / "two", net_heads(net), folder))
    assert not again.new_heads
    assert torch.equal(classifier(again, "b"), before)


def net_heads(net: Any) -> dict[str, HeadSpec]:
    return dict.fromkeys(net.heads, LABELLED)


@pytest.mark.parametrize("wanted", [["x", "y"], ["x"], ["b", "x"]])
def test_other_tasks_get_heads_of_their_own(bench: Any, tmp_path: Path, wanted: list[str]) -> None:
    folder = saved(bench, tmp_path / "run", {"a": LABELLED, "b": LABELLED})
    run = built(bench, {"a": LABELLED, "b": LABELLED}, folder)
    net = built(bench, dict.fromkeys(wanted, LABELLED), folder)
    assert net.new_heads == set(wanted) - {"b"}
    weights = [classifier(run, "a"), *(classifier(net, name) for name in wanted)]
    assert not any(torch.equal(one, other) for i, one in enumerate(weights) for other in weights[:i])
    if "b" in wanted:
        assert torch.equal(classifier(net, "b"), classifier(run, "b"))


def test_a_plain_folders_head_serves_the_only_task(bench: Any, plain: Path) -> None:
    assert not built(bench, {"any": LABELLED}, plain).new_heads
    assert built(bench, {"x": LABELLED, "y": LABELLED}, plain).new_heads == {"x", "y"}


def test_a_run_without_the_record_is_read_as_before(bench: Any, tmp_path: Path) -> None:
    folder = saved(bench, tmp_path / "run", {"a": LABELLED, "b": LABELLED})
    (folder / "heads.json").unlink(missing_ok=True)
    assert not built(bench, {"b": LABELLED, "a": LABELLED}, folder).new_heads


def test_a_saved_head_that_does_not_fit_starts_from_nobodys_weights(bench: Any, tmp_path: Path) -> None:
    folder = saved(bench, tmp_path / "run", {"a": LABELLED, "b": LABELLED})
    other = HeadSpec("sequence-classification", size=2, labels=("off", "on"))
    net = built(bench, {"b": other}, folder)
    assert net.new_heads == {"b"}
    run = built(bench, {"a": LABELLED, "b": LABELLED}, folder)
    assert not any(torch.equal(classifier(net, "b"), classifier(run, name)) for name in ("a", "b"))


def test_a_classifier_of_texts_is_none_of_tokens(bench: Any, plain: Path) -> None:
    tags = HeadSpec("token-classification", size=2, labels=("neg", "pos"))
    assert built(bench, {"main": tags}, plain).new_heads == {"main"}


@pytest.mark.parametrize("noted", [True, False])
def test_a_language_models_head_serves_under_any_name(benches: Any, tmp_path: Path, noted: bool) -> None:
    """Pretraining, then text generation: an untied output layer must not start anew."""
    bench = benches["gpt"]
    own = tmp_path / "untied"
    shutil.copytree(bench.start, own)
    config = json.loads((own / "config.json").read_text("utf-8"))
    (own / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": False}), "utf-8")
    language = HeadSpec("causal-lm")
    folder = saved(bench, tmp_path / "pretrained", {"causal-lm": language}, own)
    if not noted:
        (folder / "heads.json").unlink(missing_ok=True)
    net = built(bench, {"main": language, "causal-lm": language}, folder)
    assert not net.new_heads
    first, second = (net.heads[name].lm_head.weight for name in ("main", "causal-lm"))
    assert first is not second
    assert torch.equal(first, second)


def test_a_damaged_record_is_told(bench: Any, plain: Path) -> None:
    for text in ("{", "[]", '{"root": []}', "{}"):
        (plain / "heads.json").write_text(text, "utf-8")
        with pytest.raises(PluginError, match=r"heads\.json does not name"):
            built(bench, {"main": LABELLED}, plain)


# ---- by size ----


def test_a_size_without_labels_is_the_number_of_outputs(bench: Any, tmp_path: Path) -> None:
    scratch = bench.model.build(None, bench.preprocessor, {"main": FIVE})
    loaded = built(bench, {"main": FIVE}, bench.start)
    assert [len(classifier(net, "main")) for net in (scratch, loaded)] == [5, 5]
    assert loaded.new_heads == {"main"}  # the folder's has two outputs
    [graph] = bench.model.graphs(built(bench, {"main": FIVE}, bench.start), "main")
    assert graph.outputs == {"logits": ("batch", 5)}
    folder = saved(bench, tmp_path / "five", {"main": FIVE, "more": FIVE})
    assert not built(bench, {"main": FIVE, "more": FIVE}, folder).new_heads
    three = HeadSpec("sequence-classification", size=3)
    net = built(bench, {"main": three, "more": three}, folder)
    assert net.new_heads == {"main", "more"}
    assert [len(classifier(net, name)) for name in net.heads] == [3, 3]


def test_sizes_that_do_not_fit_are_refused(bench: Any) -> None:
    for start in (None, bench.start):
        with pytest.raises(PluginError, match="has size 3 but 2 labels"):
            bench.model.build(
                start, bench.preprocessor, {"main": HeadSpec("sequence-classification", size=3, labels=("neg", "pos"))}
            )
        language = "masked-lm" if bench.family == "bert" else "causal-lm"
        with pytest.raises(PluginError, match=f"outputs of the head {language} are the vocabulary"):
            bench.model.build(start, bench.preprocessor, {"lm": HeadSpec(language, size=7)})


# ---- names ----


def test_heads_may_have_any_name_that_a_recipe_allows(bench: Any, tmp_path: Path) -> None:
    own = HeadSpec("own", factory=lambda width: torch.nn.Linear(width, 1))
    heads = dict.fromkeys(TORCH_NAMES, LABELLED) | {"values": own, "state_dict": own}
    folder = saved(bench, tmp_path / "run", heads)
    net = built(bench, heads, folder)
    assert list(net.heads) == list(heads)
    assert net.new_heads == frozenset()
    net.train()
    assert all(head.training for head in net.heads.values())
    texts = bench.preprocessor.pad(bench.preprocessor.encode(["good film"]))
    for name in ("keys", "training", "情感"):
        logits = net(name, **{key: torch.from_numpy(array) for key, array in texts.items()})["logits"]
        assert logits.shape == (1, 2)
    assert {part.name for part in net.parts() if part.kind == "head"} == {f"head.{name}" for name in heads}
    assert sorted(file.stem for file in (folder / "heads").iterdir()) == sorted(list(heads)[1:])
