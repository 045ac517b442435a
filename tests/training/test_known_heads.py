"""Whose head is whose: by name, by size, by labels and their rows; and names that torch modules use themselves."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from hft_core import HeadSpec, PluginError
from hft_core.training.setup import new_heads

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
    assert (net.new_heads, net.changed_labels) == ({"b"}, {})
    run = built(bench, {"a": LABELLED, "b": LABELLED}, folder)
    assert not any(torch.equal(classifier(net, "b"), classifier(run, name)) for name in ("a", "b"))


def test_a_classifier_of_texts_is_none_of_tokens(bench: Any, plain: Path) -> None:
    for labels in (("neg", "pos"), ("neg", "maybe"), ("pos", "neg")):
        net = built(bench, {"main": HeadSpec("token-classification", size=2, labels=labels)}, plain)
        assert (net.new_heads, net.changed_labels) == ({"main"}, {})


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


# ---- by labels: the rows of those that stay ----

OLD = ("neg", "pos", "meh")
CHANGES = [
    (("neg", "pos", "maybe", "meh"), ("maybe",), ()),
    (("meh", "neg"), (), ("pos",)),
    (("great", "meh", "neg"), ("great",), ("pos",)),  # one renamed, and all moved
    (("pos", "meh", "neg"), (), ()),
    (("x", "neg"), ("x",), ("pos", "meh")),
]


class Mean(torch.nn.Module):
    """A task's own head: two layers over the mean state, a row per label in the second."""

    def __init__(self, width: int, size: int, inner: int = 5):
        super().__init__()
        self.inner = torch.nn.Linear(width, inner)
        self.outer = torch.nn.Linear(inner, size)

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        kept = mask[..., None].to(hidden.dtype)
        return {"logits": self.outer(self.inner((hidden * kept).sum(1) / kept.sum(1)))}


class Gated(Mean):
    """A second layer with as many rows as there were labels, which are none of labels."""

    def __init__(self, width: int, size: int):
        super().__init__(width, size)
        self.gate = torch.nn.Linear(5, len(OLD))

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        inner = self.inner(hidden.mean(1))
        return {"logits": self.outer(inner) * self.gate(inner)[:, :1]}


def named(kind: str, labels: tuple[str, ...]) -> HeadSpec:
    if kind == "own":
        return HeadSpec("own", len(labels), labels, factory=partial(Mean, size=len(labels)))
    return HeadSpec(kind, len(labels), labels)


def answers(bench: Any, net: Any, labels: tuple[str, ...], head: str = "main") -> dict[str, torch.Tensor]:
    """The logits of each label on two texts."""
    batch = bench.preprocessor.pad(bench.preprocessor.encode(["good film", "the meal was bad 很 差"]))
    with torch.no_grad():
        logits = net(head, **{name: torch.from_numpy(array) for name, array in batch.items()})["logits"]
    assert logits.shape[-1] == len(labels)
    return {label: logits[..., index] for index, label in enumerate(labels)}


def rows_stay(bench: Any, was: Any, net: Any, old: tuple[str, ...], new: tuple[str, ...]) -> None:
    """The labels in both answer as before, and those that are new as none of the old."""
    before, after = answers(bench, was, old), answers(bench, net, new)
    for label in new:
        if label in old:
            torch.testing.assert_close(after[label], before[label], atol=1e-6, rtol=1e-6)
        else:
            assert not any(torch.allclose(after[label], one, atol=1e-4) for one in before.values())


@pytest.mark.parametrize("place", ["root", "heads"])
@pytest.mark.parametrize("kind", ["sequence-classification", "token-classification", "own"])
def test_labels_that_stay_keep_their_rows(bench: Any, tmp_path: Path, kind: str, place: str) -> None:
    torch.manual_seed(3)
    first = {} if place == "root" else {"first": LABELLED}
    folder = saved(bench, tmp_path / "run", first | {"main": named(kind, OLD)})
    assert (folder / "heads" / "main.safetensors").is_file() == (place == "heads" or kind == "own")
    was = built(bench, {"main": named(kind, OLD)}, folder)
    for new, added, gone in CHANGES:
        net = built(bench, {"main": named(kind, new)}, folder)
        rows_stay(bench, was, net, OLD, new)
        if place == "heads" and kind != "own":  # a new label's row is not that of the folder's own head
            others = classifier(built(bench, {"first": LABELLED}, folder), "first")
            assert not any(
                torch.equal(classifier(net, "main")[new.index(label)], row) for label in added for row in others
            )
        assert net.new_heads == ({"main"} if added else set())
        assert net.changed_labels == ({"main": (added, gone)} if added or gone else {})


def test_tags_keep_their_rows_one_by_one(bench: Any, tmp_path: Path) -> None:
    """A new kind of entity takes nothing from the others, whatever order the tags come in."""
    old, new = ("B-LOC", "B-PER", "I-LOC", "I-PER", "O"), ("B-LOC", "B-ORG", "B-PER", "I-LOC", "I-ORG", "I-PER", "O")
    folder = saved(bench, tmp_path / "run", {"main": named("token-classification", old)})
    was = classifier(built(bench, {"main": named("token-classification", old)}, folder), "main")
    net = built(bench, {"main": named("token-classification", new)}, folder)
    assert net.changed_labels == {"main": (("B-ORG", "I-ORG"), ())}
    for at, tag in enumerate(new):
        if tag in old:
            assert torch.equal(classifier(net, "main")[at], was[old.index(tag)])


def test_a_renamed_label_is_one_gone_and_one_new(bench: Any, plain: Path) -> None:
    """Of a hub's folder, too, if it names its labels; and what nothing shares is new as a whole."""
    net = built(bench, {"main": named("sequence-classification", ("neg", "great"))}, plain)
    assert net.new_heads == {"main"}
    assert net.changed_labels == {"main": (("great",), ("pos",))}
    was = classifier(built(bench, {"main": LABELLED}, plain), "main")
    assert torch.equal(classifier(net, "main")[0], was[0])
    assert not torch.equal(classifier(net, "main")[1], was[1])
    other = built(bench, {"main": named("sequence-classification", ("bad", "great"))}, plain)
    assert (other.new_heads, other.changed_labels) == ({"main"}, {})
    assert not any(torch.equal(one, old) for one in classifier(other, "main") for old in was)


@pytest.mark.parametrize("labels", [("LABEL_0", "LABEL_1", "LABEL_2"), ("LABEL_1", "neg")])
def test_numbered_labels_name_nothing(bench: Any, plain: Path, labels: tuple[str, ...]) -> None:
    config = json.loads((plain / "config.json").read_text("utf-8"))
    numbered = {"id2label": {"0": "LABEL_0", "1": "LABEL_1"}, "label2id": {"LABEL_0": 0, "LABEL_1": 1}}
    (plain / "config.json").write_text(json.dumps(config | numbered), "utf-8")
    was = classifier(built(bench, {"main": HeadSpec("sequence-classification", size=2)}, plain), "main")
    net = built(bench, {"main": named("sequence-classification", labels)}, plain)
    assert net.changed_labels == {}
    assert net.new_heads == ({"main"} if len(labels) == 3 else set())  # as many outputs: taken as they are
    assert torch.equal(classifier(net, "main")[0], was[0]) == (len(labels) == 2)


@pytest.mark.parametrize("make", [partial(Mean, inner=3), Gated])
def test_what_is_no_row_of_a_label_is_not_moved(bench: Any, tmp_path: Path, make: Any) -> None:
    """With as many labels as before, a layer of this very size could be either; with more, only one of the two grew."""

    def spec(labels: tuple[str, ...]) -> HeadSpec:
        return HeadSpec("own", len(labels), labels, factory=partial(make, size=len(labels)))

    folder = saved(bench, tmp_path / "run", {"main": spec(OLD)})
    was = built(bench, {"main": spec(OLD)}, folder)
    moved = built(bench, {"main": spec(OLD[::-1])}, folder)
    assert (moved.new_heads, moved.changed_labels) == ({"main"}, {})
    grown = built(bench, {"main": spec((*OLD[::-1], "more"))}, folder)
    assert grown.changed_labels == {"main": (("more",), ())}
    rows_stay(bench, was, grown, OLD, (*OLD[::-1], "more"))


@pytest.mark.parametrize("inner", [2, 5])
def test_one_output_for_two_labels_has_no_rows(bench: Any, tmp_path: Path, inner: int) -> None:
    """Nor are the rows of a layer before it labels' rows, where there happen to be two."""

    def single(*labels: str) -> HeadSpec:
        return HeadSpec("own", labels=labels, factory=partial(Mean, size=1, inner=inner))

    folder = saved(bench, tmp_path / "run", {"main": single("neg", "pos")})
    assert not built(bench, {"main": single("neg", "pos")}, folder).new_heads
    for labels in (("pos", "neg"), ("neg", "pos", "meh")):
        net = built(bench, {"main": single(*labels)}, folder)
        assert (net.new_heads, net.changed_labels) == ({"main"}, {})


@pytest.mark.parametrize("width", [32, 3])
def test_a_head_of_two_layers_keeps_its_first_one(bert: Any, tmp_path: Path, width: int) -> None:
    """RoBERTa's: a dense layer that all labels share, and a row for each; not to be told apart where they are as large."""
    config = transformers.RobertaConfig(
        vocab_size=bert.preprocessor.vocabulary, hidden_size=width, num_hidden_layers=1, num_attention_heads=1,
        intermediate_size=8, max_position_embeddings=70, initializer_range=1.0,
        id2label=dict(enumerate(OLD)), label2id={label: index for index, label in enumerate(OLD)},
    )  # fmt: skip
    transformers.RobertaForSequenceClassification(config).save_pretrained(tmp_path / "hub")
    heads = {"main": named("sequence-classification", OLD)}
    was = built(bert, heads, tmp_path / "hub")
    assert not was.new_heads
    for new, added, gone in CHANGES:
        net = built(bert, {"main": named("sequence-classification", new)}, tmp_path / "hub")
        if width == 3 and len(new) == 3:
            assert (net.new_heads, net.changed_labels) == ({"main"}, {})
            continue
        assert torch.equal(net.heads["main"].classifier.dense.weight, was.heads["main"].classifier.dense.weight)
        rows_stay(bert, was, net, OLD, new)
        assert net.changed_labels == ({"main": (added, gone)} if added or gone else {})


@pytest.mark.parametrize(
    ("labels", "settle", "said"),
    [
        (
            ("neg", "maybe"), 0.5,
            "labels of main: new is 'maybe', gone is 'pos'; those that stay keep their weights (new ones start from random "
            "numbers, and the heads are trained alone for 5 steps)",
        ),
        (
            ("neg", "pos", *"abcdefghijkl"), 0.0,
            "labels of main: new are 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j' and 2 more; those that stay keep their "
            "weights (new ones start from random numbers)",
        ),
        (("neg",), 0.5, "labels of main: gone is 'pos'; those that stay keep their weights"),
        (("pos", "neg"), 0.5, None),
        (("off", "on"), 0.5, "new for this model: main (its head starts from random numbers, and the heads are trained alone "
         "for 5 steps)"),
    ],
)  # fmt: skip
def test_changed_labels_are_announced(
    bench: Any, make_rows: Any, plain: Path, labels: tuple[str, ...], settle: float, said: str | None
) -> None:
    spec = HeadSpec("sequence-classification", labels=labels, settle=settle)
    heard: list[str] = []
    job = bench.job((bench.objective("classification"), make_rows(8)), start=plain)
    job.heads["main"], job.say = spec, heard.append
    net = built(bench, job.heads, plain)
    steps, alone = new_heads(net, job, 10)
    assert heard == ([said] if said else [])
    assert steps == (5 if settle and net.new_heads else 0)
    assert bool(alone) == bool(net.new_heads)


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
