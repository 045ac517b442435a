"""A run from files to bundle, and its folder."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import hft_core


@pytest.fixture(scope="module")
def done(module_project: Any, make_rows: Any, write_rows: Any) -> tuple[Any, Any]:
    """A project with refused, repeated and augmented rows, and its run with export."""
    project = module_project("whole")
    rows = make_rows(100, 1)
    rows[3] = ("", "pos")
    rows[7] = ("no label here", "")
    rows[20] = rows[10]
    rows[21] = (f"  {rows[11][0]}", rows[11][1])  # the same after cleaning
    rows[30] = ("good", "pos")  # too short
    write_rows(project.folder / "train.csv", rows)
    project.recipe["prepare"] = {
        "clean": [{"type": "whitespace"}, {"type": "exact-duplicates"}, {"type": "length", "minimum": 8}],
        "augment": [{"type": "random-swap", "copies": 2}],
    }
    project.recipe["stages"][1] |= {"epochs": 15}
    project.recipe["export"] = [{"type": "onnx"}]
    return project, project.run()


def report_of(run: Any) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run.folder / "report.json").read_text("utf-8"))
    return content


def test_the_ledger_balances(done: Any) -> None:
    _, run = done
    [train] = [ledger for ledger in report_of(run)["ledger"] if ledger["name"] == "train"]
    assert train["read"] == 100
    assert train["quarantined"] == {"empty-text": 1, "empty-label": 1}
    dropped = {(entry["component"], entry["reason"]): entry["rows"] for entry in train["dropped"]}
    assert sum(rows for (component, _), rows in dropped.items() if component == "exact-duplicates") == 2
    assert sum(rows for (component, _), rows in dropped.items() if component == "length") == 1
    assert train["kept"] == 95
    assert train["read"] == train["kept"] + sum(train["quarantined"].values()) + sum(dropped.values())
    assert 95 < sum(train["made"].values()) <= 2 * 95
    for name, rows in (("validation", 110), ("test", 60), ("corpus", 80)):
        [ledger] = [ledger for ledger in report_of(run)["ledger"] if ledger["name"] == name]
        assert (ledger["read"], ledger["kept"], ledger["quarantined"], ledger["made"]) == (rows, rows, {}, {})


def test_the_quarantine_shows_the_refused_rows(done: Any) -> None:
    _, run = done
    lines = [json.loads(line) for line in (run.folder / "quarantine.jsonl").read_text("utf-8").splitlines()]
    assert sorted(line["reason"] for line in lines) == ["empty-label", "empty-text"]
    assert "no label here" in json.dumps(lines)


def test_a_run_that_bad_rows_stop_keeps_the_refused_ones(tiny: Any) -> None:
    file = tiny.folder / "train.csv"
    file.write_text("review,sentiment\n" + "好吃,pos\n" * 30 + ",neg\n没有标签,\n", encoding="utf-8")
    tiny.recipe["data"]["train"] |= {"bad_rows": 1}
    with pytest.raises(hft_core.DataError, match=r"more than 1 rows .* until then are in (.*)") as stopped:
        hft_core.run(tiny.write())
    place = Path(str(stopped.value).rpartition(" are in ")[2])
    refused = [json.loads(line) for line in place.read_text("utf-8").splitlines()]
    assert [(row["line"], row["reason"]) for row in refused] == [(32, "empty-text"), (33, "empty-label")]


def test_transformers_loads_the_model_folder(done: Any) -> None:
    """Logits equal those of hft's own net, labels stand in the configuration."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from hft_core import HeadSpec
    from hft_core.runtime.text import load

    _, run = done
    model = AutoModelForSequenceClassification.from_pretrained(run.model).eval()
    tokenizer = AutoTokenizer.from_pretrained(run.model)
    assert model.config.id2label == {0: "neg", 1: "pos"}
    assert model.config.label2id == {"neg": 0, "pos": 1}
    texts = ["good film", "the meal was awful 很差 and we said so", "这 家 店 的 菜 好"]
    encoded = tokenizer(texts, padding=True, return_tensors="pt")
    settings = json.loads((run.bundle / "bundle.json").read_text("utf-8"))["preprocessor"]["settings"]
    preprocessor = load(run.model, settings)
    own = preprocessor.pad(preprocessor.encode(texts))
    assert encoded["input_ids"].tolist() == own["input_ids"].tolist()
    assert encoded["attention_mask"].tolist() == own["attention_mask"].tolist()

    from hft_plugins.transformers.build import from_folder

    spec = HeadSpec("sequence-classification", size=2, labels=("neg", "pos"))
    net = from_folder(run.model, preprocessor, {"main": spec}).eval()
    assert net.new_heads == frozenset()
    with torch.no_grad():
        theirs = model(**encoded).logits
        ours = net("main", **{name: torch.from_numpy(array) for name, array in own.items()})["logits"]
    assert torch.allclose(theirs, ours, atol=1e-5)  # the library may choose another attention kernel
    probabilities = theirs.softmax(1).numpy()
    for row, prediction in enumerate(run.predict(texts)):  # the bundle, through onnxruntime
        assert np.allclose(list(prediction["scores"].values()), probabilities[row], atol=1e-4)


def test_the_run_has_metrics_predictions_bundle_report_and_model(done: Any) -> None:
    _, run = done
    assert isinstance(run, hft_core.Run)
    assert run.metrics["test"]["accuracy"] > 0.8  # one word decides; majority is about 0.5
    assert set(run.metrics) == {"validation", "test"}
    assert [p["label"] for p in run.predict(["we said good 很好 the", "very awful 很差 the"])] == ["pos", "neg"]
    assert run.predict([{"text": "good"}])[0]["label"] == run.predict(["good"])[0]["label"]
    assert run.report.read_text("utf-8").startswith("<!")
    assert (run.bundle / "onnx" / "model.onnx").is_file()
    assert (run.model / "model.safetensors").is_file()
    assert hft_core.Run.open(run.folder).metrics == run.metrics


def test_the_figures_of_the_report_are_those_of_the_saved_model(done: Any, make_rows: Any) -> None:
    _, run = done
    rows = make_rows(60, 3)
    found = run.predict([text for text, _ in rows])
    right = sum(prediction["label"] == label for prediction, (_, label) in zip(found, rows, strict=True))
    assert run.metrics["test"]["accuracy"] == pytest.approx(right / 60)


def test_nothing_in_the_run_is_pickled(done: Any) -> None:
    _, run = done
    files = [file for file in run.folder.rglob("*") if file.is_file()]
    assert not [file for file in files if file.suffix in {".bin", ".pt", ".pth", ".pkl", ".ckpt"}]
    assert not [file for file in files if file.read_bytes()[:2] == b"PK"]  # torch.save writes zip files


def test_no_checkpoints_or_temporary_files_are_left(done: Any) -> None:
    project, _ = done
    store = project.folder / ".hft"
    assert [*(store / "work").glob("*"), *(store / "tmp").glob("*"), *(store / "damaged").glob("*")] == []


def test_a_second_run_makes_nothing(done: Any, events: Any) -> None:
    project, run = done
    weights = (run.model / "model.safetensors").read_bytes()
    again = project.run(progress=events)
    assert set(events.outcome.values()) == {"reused"}
    assert (again.model / "model.safetensors").read_bytes() == weights
    assert not run.folder.with_name("small.1").exists()


def test_what_a_kill_left_between_two_renames_is_found_again(done: Any) -> None:
    """Also when the next process had written a folder already; what a process left half written goes, once it is old."""
    project, run = done
    (run.folder / "mine.txt").write_text("my notes", encoding="utf-8")
    run.folder.rename(run.folder.with_name(".small.old-4711"))
    for name, age in ((".small.new-4712", 90_000), (".small.new-4713", 0)):
        begun = run.folder.with_name(name)
        begun.mkdir()
        moment = time.time() - age
        os.utime(begun, (moment, moment))
    project.run()
    assert (run.folder / "mine.txt").read_text("utf-8") == "my notes"
    assert [path.name for path in run.folder.parent.iterdir() if path.name.startswith(".small.")] == [".small.new-4713"]
    second = run.folder.with_name(".small.old-4714")
    second.mkdir()
    (second / "more.txt").write_text("更多", encoding="utf-8")
    project.run()
    assert (run.folder / "more.txt").read_text("utf-8") == "更多"
    assert not second.exists()
    for path in (run.folder / "mine.txt", run.folder / "more.txt"):
        path.unlink()
    run.folder.with_name(".small.new-4713").rmdir()


def test_a_test_of_one_row_is_measured_and_not_compared(tiny: Any, write_csv: Any, reviews: Any) -> None:
    write_csv(tiny.folder / "test.csv", reviews(1, seed=3))
    tiny.recipe["data"]["test"] = {"type": "csv", "path": "test.csv"}
    report = report_of(hft_core.run(tiny.write()))
    assert set(report["metrics"]["test"]) >= {"accuracy"}
    assert report["comparisons"] == []
    assert "the model is not compared with the baseline majority on test: a comparison needs two rows" in str(
        report["warnings"]
    )


def test_a_dict_gives_the_same_run(done: Any, monkeypatch: pytest.MonkeyPatch, events: Any, tmp_path: Path) -> None:
    """Paths of a dict start at the working folder, and so does its store."""
    project, run = done
    monkeypatch.chdir(project.folder)
    recipe = project.recipe | {"evaluate": {"plain": False} | project.recipe.get("evaluate", {})}
    again = hft_core.run(recipe, out=tmp_path / "dict", progress=events)
    assert set(events.outcome.values()) == {"reused"}
    assert again.metrics == run.metrics


@pytest.mark.slow
def test_a_changed_recipe_keeps_the_old_folder(project: Any, events: Any) -> None:
    first = project.run()
    mark = first.report.read_text("utf-8")
    second = project.run("stages.1.optimizer.lr=2e-3", progress=events)
    made = {name for name, outcome in events.outcome.items() if outcome == "made"}
    assert made == {"try stages", "stage tune", "evaluate", "diagnosis"}
    assert second.folder == first.folder
    old = first.folder.with_name("small.1")
    assert (old / "report.html").read_text("utf-8") == mark
    assert hft_core.Run.open(old).metrics
    assert second.report.read_text("utf-8") != mark
    third = project.run()  # back again: two older ones now
    assert third.folder.with_name("small.2").is_dir()
    assert (third.model / "model.safetensors").read_bytes() == (old / "model" / "model.safetensors").read_bytes()


def test_a_folder_that_is_no_run_is_not_overwritten(project: Any) -> None:
    target = project.folder / "runs" / "small"
    target.mkdir(parents=True)
    (target / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(hft_core.DiskError, match="no run folder"):
        project.run()
    assert (target / "thesis.txt").read_text("utf-8") == "years of work"


def test_a_recipe_without_a_task(project: Any, events: Any) -> None:
    del project.recipe["task"]
    project.recipe["data"] = {"corpus": project.recipe["data"]["corpus"]}
    project.recipe["stages"] = project.recipe["stages"][:1]
    project.recipe["evaluate"] = {"metrics": [{"type": "perplexity"}]}
    run = project.run(progress=events)
    content = report_of(run)
    assert content["metrics"] == {}
    assert [stage["kind"] for stage in content["stages"]] == ["pretrain"]
    points = [point["validation"] for point in content["stages"][0]["curves"] if "validation" in point]
    assert len(points) == 2  # before the first epoch and after it
    assert points[1]["perplexity"] == pytest.approx(np.exp(points[1]["masked-lm loss"]))
    assert run.report.is_file()
    from transformers import AutoModelForMaskedLM

    assert AutoModelForMaskedLM.from_pretrained(run.model).config.model_type == "bert"
    with pytest.raises(hft_core.RecipeError, match="no bundle"):
        run.predict(["good"])


def test_a_later_recipe_starts_from_an_earlier_run(project: Any, make_project: Any, tmp_path: Path) -> None:
    first = project.run()
    later = make_project("later")
    later.recipe["model"] = {"type": "bert", "source": str(first.folder), "max_length": 64}
    later.recipe["stages"] = later.recipe["stages"][1:]
    del later.recipe["data"]["corpus"]
    later.recipe["stages"][0] |= {"epochs": 0.01, "optimizer": {"type": "sgd", "lr": 1e-12}}
    second = later.run()
    assert second.metrics["test"] == first.metrics["test"]  # one step of no size: the classifier came along


def test_two_finetune_stages_on_the_same_rows(project: Any) -> None:
    tune = project.recipe["stages"][1]
    del project.recipe["data"]["corpus"]  # nobody reads it
    run = project.run(stages=[tune, tune | {"name": "again", "epochs": 1}])
    assert [stage["name"] for stage in report_of(run)["stages"]] == ["tune", "again"]


def test_a_joint_stage_after_finetuning(project: Any, events: Any) -> None:
    """The language-model head is new then, and settles."""
    tune = project.recipe["stages"][1]
    joint = tune | {
        "name": "joint",
        "objectives": [{"type": "task", "data": "train"}, {"type": "masked-lm", "data": "corpus", "weight": 0.3}],
        "epochs": 3,
    }
    run = project.run(stages=[tune, joint], progress=events)
    assert any("masked-lm" in text and "new" in text for text in events.said)
    assert (run.model / "heads" / "masked-lm.safetensors").is_file()


def test_what_is_evaluated_has_the_trained_classifier(project: Any) -> None:
    """A pretrain stage at the end leaves no classifier of its own: refuse it, or keep the one before."""
    adapt, tune = project.recipe["stages"]
    tune = tune | {"epochs": 15}
    adapt = adapt | {"optimizer": {"type": "sgd", "lr": 1e-12}}  # changes nothing, to see the classifier alone
    corpus = project.recipe["data"].pop("corpus")
    wanted = project.run(stages=[tune]).metrics["test"]
    project.recipe["data"]["corpus"] = corpus
    assert wanted["accuracy"] > 0.8
    try:
        found = project.run(stages=[tune, adapt]).metrics["test"]
    except hft_core.RecipeError:
        return
    assert found == wanted


@pytest.mark.slow
def test_machines_get_json(project: Any) -> None:
    """`plan --json` before, `run --json` at the end, nothing but JSON on standard output; two F1 scores side by side."""
    project.recipe["evaluate"] = {
        "metrics": [{"type": "f1"}, {"type": "f1", "name": "micro", "average": "micro"}],
        "best": "micro",
    }
    recipe = project.write()
    process = project.command("plan", str(recipe), "--json")
    planned = json.loads(process.communicate()[0])
    assert {node["state"] for node in planned} == {"run"}
    process = project.command("run", str(recipe), "--json")
    out, errors = process.communicate()
    assert process.returncode == 0, errors
    told = json.loads(out)
    assert told["bundle"] is None
    figures = told["metrics"]["validation"]
    assert {"f1", "micro"} <= set(figures)
    assert json.loads((Path(told["run"]) / "report.json").read_text("utf-8"))["headline"]["metric"] == "micro"


@pytest.mark.slow
def test_a_refused_precision_is_the_end_of_a_whole_report(
    tiny: Any, hft_here: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 9, behind figures and places as in any run."""
    from hft_plugins.onnx import decisions

    monkeypatch.setitem(decisions.LIMITS, "int8", decisions.Limits(flips=-1.0, points=1.0))
    tiny.recipe["export"] = [{"type": "onnx", "precisions": ["fp32", "int8"]}]
    outcome = hft_here("run", tiny.write())
    assert outcome.code == 9
    assert "int8 was not written: gate decisions: int8" in outcome.err
    assert "everything else is in " in outcome.err
    for said in ("this model", "report: ", "bundle: ", "next:   hft predict "):
        assert said in outcome.out
