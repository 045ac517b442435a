"""Shape 6: two tasks at once, one backbone with two heads, a stream and metrics for each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import hft_core
from hft_core import RecipeError
from hft_core.runtime import load


@pytest.fixture
def two(tiny: Any, reviews: Any, write_csv: Any) -> Any:
    """Reviews with two labels each, sentiment and subject, in files of their own."""

    def about(row: dict[str, Any]) -> str:
        return next((word for word in ("film", "phone") if word in row["review"]), "other")

    def rows(count: int, seed: int) -> list[dict[str, Any]]:
        return [{"text": row["review"], "about": about(row)} for row in reviews(count, seed=seed)]

    write_csv(tiny.folder / "subject.csv", rows(90, 5))
    write_csv(tiny.folder / "subject-test.csv", rows(30, 6))
    del tiny.recipe["task"]
    tiny.recipe["tasks"] = {
        "sentiment": {"type": "text-classification", "text": "review", "label": "sentiment"},
        "subject": {"type": "text-classification", "text": "text", "label": "about"},
    }
    tiny.recipe["data"] = {
        "sentiment": tiny.recipe["data"],
        "subject": {
            "train": {"type": "csv", "path": "subject.csv"},
            "test": {"type": "csv", "path": "subject-test.csv"},
            "split": {"validation": 0.3},
        },
    }
    tiny.recipe["stages"][0]["objectives"] = [
        {"type": "task", "task": "sentiment", "data": "train"},
        {"type": "task", "task": "subject", "data": "train", "weight": 0.5},
    ]
    tiny.recipe["stages"][0]["epochs"] = 3
    return tiny


def test_each_task_has_its_head_its_metrics_and_its_bundle(two: Any) -> None:
    two.recipe["export"] = [{"type": "onnx"}]
    two.recipe["evaluate"] = {"metrics": [{"type": "accuracy"}, {"type": "f1"}], "best": "subject.f1"}
    run = hft_core.run(two.write())
    assert {"sentiment.accuracy", "subject.accuracy", "sentiment.f1", "subject.f1"} <= set(run.metrics["validation"])
    assert {name.partition(".")[0] for name in run.metrics["test"]} == {"subject"}, "only that one has a test source"
    report = json.loads((run.folder / "report.json").read_text("utf-8"))
    assert report["headline"]["metric"] == "subject.f1"
    assert {row["name"] for row in report["ledger"]} == {
        "sentiment.train", "sentiment.validation", "subject.train", "subject.validation", "subject.test",
    }  # fmt: skip
    assert set(report["baselines"]["majority"]["validation"]) >= {"sentiment.accuracy", "subject.accuracy"}
    assert set(run.bundles) == {"sentiment", "subject"}
    assert load(run.bundles["sentiment"]).labels == ["neg", "pos"]
    assert load(run.bundles["subject"]).labels == ["film", "other", "phone"]
    assert load(run.bundles["subject"]).text == ["text"]
    with pytest.raises(RecipeError, match="a bundle for each task: sentiment, subject"):
        _ = run.bundle


def test_a_later_run_trains_on_with_both_heads(two: Any) -> None:
    """The finished model's folder has both heads: nothing is announced as new."""
    first = hft_core.run(two.write())
    said: list[str] = []

    class Listening(hft_core.pipeline.progress.Progress):  # type: ignore[name-defined,misc]  # not a public name
        def say(self, text: str) -> None:
            said.append(text)

    two.recipe["model"] = {"type": "bert", "source": str(first.folder), "max_length": 32}
    two.recipe["stages"][0]["epochs"] = 1
    hft_core.run(two.write(), out=two.folder / "again", progress=Listening())
    assert not [line for line in said if "new for this model" in line]


def test_tasks_one_after_the_other(two: Any) -> None:
    """The second stage trains another head; the first one's is carried along and evaluated too."""
    stage = two.recipe["stages"][0]
    first, second = stage["objectives"]
    two.recipe["stages"] = [stage | {"objectives": [first]}, stage | {"objectives": [second]}]
    run = hft_core.run(two.write())
    assert {"sentiment.accuracy", "subject.accuracy"} <= set(run.metrics["validation"])


def test_a_change_of_one_tasks_data_is_none_of_the_others(two: Any) -> None:
    from hft_core.pipeline.plan import build_plan
    from hft_core.recipe import load_recipe
    from hft_core.registry import load_registry

    def keys() -> dict[str, str]:
        registry = load_registry()
        return {node.name: node.key for node in build_plan(load_recipe(two.write(), registry), registry).nodes}

    before = keys()
    two.recipe["data"]["subject"]["split"]["validation"] = 0.2
    after = keys()
    assert before["prepare sentiment.train"] == after["prepare sentiment.train"]
    assert before["prepare subject.train"] != after["prepare subject.train"]
    assert before["prepare sentiment.validation"] == after["prepare sentiment.validation"]
    assert before["sentiment.checks"] == after["sentiment.checks"]


@pytest.mark.parametrize("best", ["main.accuracy", "subject.f1"])
def test_one_of_several_tasks_may_be_called_main(two: Any, hft_here: Any, best: str) -> None:
    two.recipe["tasks"]["main"] = two.recipe["tasks"].pop("sentiment")
    two.recipe["data"]["main"] = two.recipe["data"].pop("sentiment")
    two.recipe["stages"][0]["objectives"][0]["task"] = "main"
    two.recipe["evaluate"] = {"best": best}
    assert hft_here("check", two.write()).code == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r["stages"][0]["objectives"][0].update(task="sentimant"), "there is no task 'sentimant'; did you mean"),
        (lambda r: r["stages"][0]["objectives"][0].pop("task"), "say which one with `task:`, out of sentiment, subject"),
        (lambda r: r["stages"][0]["objectives"].pop(), "no stage trains the task 'subject'"),
        (lambda r: r["data"].pop("subject"), "the task 'subject' needs its data under its name"),
        (lambda r: r["data"].update(subjekt=r["data"].pop("subject")), "there is no task 'subjekt'; did you mean"),
        (lambda r: r.update(task=r["tasks"]["subject"]), "`task` and `tasks` are both there"),
        (lambda r: r.update(evaluate={"best": "accuracy"}), "'accuracy' is not among the task's usual metrics"),
        (lambda r: r["data"]["subject"].pop("train"), "data.subject.train: 'train' is missing"),
        (lambda r: r["data"]["subject"]["train"].update(path="subjekt.csv"), "did you mean 'subject.csv'?"),
        (lambda r: r["stages"][0]["objectives"].append({"type": "masked-lm", "data": "corpus"}), "no data source 'corpus'"),
        (lambda r: r["stages"][0]["objectives"].append({"type": "masked-lm", "data": "subject.test"}), "for evaluation only"),
        (
            lambda r: r["stages"][0]["objectives"].append({"type": "masked-lm", "data": "train", "name": "subject"}),
            "the name 'subject' is taken",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_before_anything_is_trained(two: Any, hft_here: Any, change: Any, said: str) -> None:
    change(two.recipe)
    outcome = hft_here("check", two.write())
    assert outcome.code in (2, 3), outcome
    assert said in outcome.err, outcome.err
    assert "Traceback" not in outcome.err


def test_a_language_model_may_read_a_tasks_rows(two: Any) -> None:
    two.recipe["stages"][0]["objectives"].append({"type": "masked-lm", "data": ["subject.train", "sentiment.train"]})
    run = hft_core.run(two.write())
    assert (Path(run.model) / "heads" / "masked-lm.safetensors").is_file()


def test_a_run_that_crashed_ends_with_the_same_weights(two: Any, crash_at: Any) -> None:
    two.recipe["stages"][0] |= {"checkpoint_minutes": 0, "micro_batch": 5, "batch_size": 12}

    def run(store: str) -> dict[str, bytes]:
        out = two.folder / store
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HFT_STORE", str(out / "store"))
            model = hft_core.run(two.write(), out=out / "run").model
        return {file.name: file.read_bytes() for file in sorted(model.rglob("*.safetensors"))}

    whole = run("whole")
    assert len(whole) == 2, "the first task's folder, and the other head beside it"
    for step in (2, 7):
        crash_at(step, lambda: run("crashed"))
    assert run("crashed") == whole


def test_tags_and_labels_on_one_fresh_backbone(two: Any) -> None:
    """A tagger's backbone is built without the pooler that a classifier needs."""
    rows = [
        {"text": f"{name} is here", "entities": [{"start": 0, "end": len(name), "type": "person"}]}
        for name in ("Anna", "Bob", "吴重阳") * 14
    ]
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (two.folder / "rows.jsonl").write_text(lines, encoding="utf-8")
    two.recipe["tasks"] = {"names": {"type": "token-classification"}, "sentiment": two.recipe["tasks"]["sentiment"]}
    two.recipe["data"] = {
        "names": {"train": {"type": "jsonl", "path": "rows.jsonl"}},
        "sentiment": two.recipe["data"]["sentiment"],
    }
    objectives = [{"type": "task", "task": name, "data": "train"} for name in ("names", "sentiment")]
    two.recipe["stages"][0]["objectives"] = objectives
    two.recipe["export"] = [{"type": "onnx"}]
    run = hft_core.run(two.write())
    assert {"names.entity-f1", "sentiment.accuracy"} <= set(run.metrics["validation"])
    assert load(run.bundles["sentiment"]).predict(["good"])[0].keys() == {"label", "score", "scores"}
    assert load(run.bundles["names"]).predict(["Anna"])[0].keys() == {"entities", "margin"}


@pytest.mark.slow
def test_one_graph_answers_all_tasks(two: Any, hft_here: Any) -> None:
    """Labels of one file, tags of another whose column has another name; one cuts long texts, the other has windows."""
    rows = [
        {
            "satz": f"{name} is here" + " and there" * (number % 3 * 9),
            "entities": [{"start": 0, "end": len(name), "type": "person"}],
        }
        for number, name in enumerate(("Anna", "Bob", "吴重阳") * 14)
    ]
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (two.folder / "rows.jsonl").write_text(lines, encoding="utf-8")
    names = {"type": "token-classification", "text": "satz", "overlap": 4}
    two.recipe["tasks"] = {"sentiment": two.recipe["tasks"]["sentiment"], "names": names}
    two.recipe["data"] = {
        "sentiment": two.recipe["data"]["sentiment"],
        "names": {"train": {"type": "jsonl", "path": "rows.jsonl"}},
    }
    two.recipe["stages"][0]["objectives"] = [
        {"type": "task", "task": name, "data": "train"} for name in ("sentiment", "names")
    ]
    two.recipe["export"] = [{"type": "onnx", "precisions": ["fp32", "int8"], "allow_drift": True, "tasks": "together"}]
    run = hft_core.run(two.write())
    assert not run.bundles
    assert hft_here("verify", run.bundle).code == 0
    described = json.loads((run.bundle / "bundle.json").read_text("utf-8"))
    assert list(described["graphs"]["model"]["outputs"]) == ["sentiment.logits", "names.logits"]
    assert described["text"] == ["review"], "the first task's name for it"
    gates = [gate["gate"] for gate in json.loads((run.bundle / "parity.json").read_text("utf-8"))["gates"]]
    assert {"numbers: sentiment.logits", "numbers: names.logits"} <= set(gates)
    assert {f"{name}: decisions: {one}" for name in ("sentiment", "names") for one in ("fp32", "int8")} <= set(gates)

    import onnx

    graph = onnx.load(str(run.bundle / "onnx" / "model.onnx"), load_external_data=False).graph
    assert sum(node.op_type == "Softmax" for node in graph.node) == 2, "two layers, computed once for both heads"

    long = "Anna is here" + " and there" * 40
    bundle = load(run.bundle)
    assert bundle.tasks == ["sentiment", "names"]
    [answer] = bundle.predict([{"review": long, "id": 3}])
    assert list(answer) == ["id", "sentiment", "names"]
    assert answer["sentiment"].keys() == {"label", "score", "scores"}
    assert answer["names"].keys() == {"entities", "margin"}
    outcome = hft_here("evaluate", run.bundle, two.folder / "rows.jsonl", "--task", "names", "--json")
    assert outcome.code == 0, outcome.err
    measured = json.loads(outcome.out)
    assert (measured["rows"], measured["headline"]) == (42, "entity-f1"), (
        "its text is called otherwise than the bundle's"
    )
    assert measured["drift"]["unknown"] is not None
    apart = dict(two.recipe, export=[{"type": "onnx"}])
    (two.folder / "apart.yaml").write_text(json.dumps(apart, ensure_ascii=False), encoding="utf-8")
    alone = hft_core.run(two.folder / "apart.yaml", out=two.folder / "apart")
    for name, columns in (("sentiment", {"review": long}), ("names", {"satz": long})):
        [own] = load(alone.bundles[name]).predict([columns])
        assert own == _near(answer[name]), "as the task alone would answer"
    report = json.loads((run.folder / "report.json").read_text("utf-8"))
    assert [other["task"] for other in report["other_tasks"]] == ["names"]


def _near(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _near(part) for key, part in value.items()}
    return (
        [_near(part) for part in value]
        if isinstance(value, list)
        else pytest.approx(value, abs=1e-4)
        if isinstance(value, float)
        else value
    )


@pytest.mark.parametrize(
    ("task", "said"),
    [
        (
            {"type": "text-classification", "text": "text", "pair": "other", "label": "about"},
            "the task 'subject' reads 2 texts a row, and 'sentiment' 1 text; write `tasks: each`",
        ),
        ({"type": "text-generation", "text": "text"}, "the task 'subject' writes its predictions piece by piece"),
    ],
)
def test_tasks_that_no_graph_answers_together(two: Any, hft_here: Any, task: dict[str, Any], said: str) -> None:
    two.recipe["tasks"]["subject"] = task
    if task["type"] == "text-generation":
        two.recipe["model"]["type"] = "gpt"
        two.recipe["model"]["source"] = {"scratch": "tiny", "tokenizer": {"type": "bpe", "size": 300}}
    two.recipe["export"] = [{"type": "onnx", "tasks": "together"}]
    outcome = hft_here("check", two.write())
    assert outcome.code == 2
    assert said in outcome.err, outcome.err
