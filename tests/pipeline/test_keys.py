"""A change gives new keys to the nodes that depend on it, and to no other; names and folders are not content."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hft_core
from hft_core.pipeline import nodes

TRAINED = {"stage tune", "evaluate", "diagnosis", "export onnx"}
TRIED = {"try stages"}
"""Reads what any of the stages reads, and no stage reads it."""
HELD_OUT = {"prepare validation", "prepare test", "checks"}
TASK_ROWS = {"prepare train", *HELD_OUT, "augment", "encode tune.classification", "baselines", *TRIED, *TRAINED}


@pytest.fixture
def changed(project: Any, shout: Path) -> Callable[..., set[str]]:
    """Give ``changed(change, …)``: which nodes have other keys after `change(project)` or `overrides`."""
    project.recipe["prepare"] = {"augment": [{"type": "shout"}], "clean": [{"type": "whitespace"}]}
    project.recipe["export"] = [{"type": "onnx"}]
    project.recipe["evaluate"] = {"metrics": [{"type": "accuracy"}, {"type": "f1"}]}
    before = project.plan(plugins=(shout,))
    assert set(before) == {
        "prepare train", "prepare validation", "prepare test", "checks", "augment", "prepare corpus", "preprocessor",
        "encode adapt.masked-lm", "encode tune.classification", "try stages", "stage adapt", "stage tune", "evaluate",
        "baselines", "diagnosis", "export onnx",
    }  # fmt: skip

    def compare(*overrides: str, change: Callable[[], object] = lambda: None) -> set[str]:
        change()
        after = project.plan(*overrides, plugins=(shout,))
        assert len(after) == len(before)
        return {old for old, new in zip(before, after, strict=True) if before[old] != after[new]}

    return compare


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("stages.0.checkpoint_minutes=0", set()),
        ("stages.1.checkpoint_minutes=77", set()),
        ("stages.1.name=other", set()),
        ("stages.0.name=other", set()),
        ("name=renamed", {"export onnx"}),
        ("export.0.precisions=[fp32, int8]", {"export onnx"}),
        ("stages.1.optimizer.lr=2e-3", {*TRIED, *TRAINED}),
        ("stages.1.batch_size=8", {*TRIED, *TRAINED}),
        ("stages.1.clip=null", {*TRIED, *TRAINED}),
        ("stages.0.optimizer.lr=2e-3", {*TRIED, "stage adapt", *TRAINED}),
        ("stages.0.objectives.0.weight=0.5", {*TRIED, "stage adapt", *TRAINED}),
        ("stages.0.objectives.0.rate=0.3", {*TRIED, "stage adapt", *TRAINED}),
        ("stages.0.objectives.0.whole_words=true", {*TRIED, "stage adapt", "encode adapt.masked-lm", *TRAINED}),
        ("stages.1.objectives.0={type: classification, data: train, focal: 2}", {*TRIED, *TRAINED}),
        ("prepare.augment.0.times=2", {"augment", "encode tune.classification", *TRIED, *TRAINED}),
        ("prepare.augment.0.name=loud", set()),  # nor does a language model read variants: `adapt` stays in both
        ("evaluate.best=f1", {*TRIED, *TRAINED}),
        ("model.max_length=32", {"preprocessor", "encode adapt.masked-lm", "encode tune.classification",
                                 *TRIED, "stage adapt", "baselines", *TRAINED}),
    ],
)  # fmt: skip
def test_a_setting_concerns_the_nodes_that_read_it(changed: Any, override: str, expected: set[str]) -> None:
    assert changed(override) == expected


def test_the_seed_concerns_what_draws_random_numbers(changed: Any) -> None:
    """Tokenizer, encoding of the corpus and the cleaned corpus have none."""
    found = changed("seed=1")
    assert found >= {"augment", *TRIED, "stage adapt", "stage tune", "baselines"}
    assert not found & {"prepare train", *HELD_OUT, "prepare corpus", "preprocessor", "encode adapt.masked-lm"}


def flip(file: Path) -> None:
    content = file.read_text("utf-8")
    file.write_text(content.replace("good", "gold", 1), encoding="utf-8")
    assert content != file.read_text("utf-8")


def test_a_byte_of_the_corpus(project: Any, changed: Any) -> None:
    found = changed(change=lambda: flip(project.folder / "corpus.txt"))
    assert found == {"prepare corpus", "checks", "encode adapt.masked-lm", *TRIED, "stage adapt", *TRAINED}


def test_a_byte_of_train(project: Any, changed: Any) -> None:
    """Pre-training reads the corpus only, so it stays."""
    assert changed(change=lambda: flip(project.folder / "train.csv")) == TASK_ROWS


def test_a_file_that_was_only_touched(project: Any, changed: Any) -> None:
    assert changed(change=lambda: os.utime(project.folder / "train.csv", (1, 1))) == set()


def test_an_edited_plugin(shout: Path, changed: Any) -> None:
    edited = shout.read_text("utf-8").replace('"!"', '"?"')
    found = changed(change=lambda: shout.write_text(edited, encoding="utf-8"))
    assert found == TASK_ROWS - {"prepare train", *HELD_OUT, "baselines"}  # an augmenter


def test_an_edited_engine_module_concerns_the_kinds_that_run_it(project: Any) -> None:
    """Every kind of node names the sources of the code that makes it, the step in pipeline/steps.py included."""
    project.recipe["export"] = [{"type": "onnx"}]
    for node in project.built().nodes:
        assert any(name.startswith("pipeline") for name in node.parts["code"]), node.name


def test_a_learned_tokenizer_depends_on_all_texts(project: Any) -> None:
    project.recipe["model"]["source"]["tokenizer"] = {"type": "wordpiece", "size": 300}
    before = project.plan()
    flip(project.folder / "corpus.txt")
    after = project.plan()
    assert {name for name in before if before[name] == after[name]} == {
        "prepare train",
        "prepare validation",
        "prepare test",
    }


def test_more_seeds_reuse_the_first_one(project: Any) -> None:
    """Two stages after pre-training: with three seeds, those of the first seed are the ones that exist."""
    tune = project.recipe["stages"][1]
    stages = [*project.recipe["stages"], tune | {"name": "again", "epochs": 1}]
    one = set(project.plan(stages=stages).values())
    three = project.built(stages=stages, evaluate={"seeds": 3})
    assert {node.key for node in three.stages[0]} <= one
    assert three.tasks["main"].evaluations[0].key in one
    assert [chain[0].key for chain in three.stages] == [three.stages[0][0].key] * 3  # pre-training is shared
    assert len({chain[1].key for chain in three.stages}) == 3


def test_two_objectives_of_one_type_keep_their_own_data(project: Any) -> None:
    """Node names are how a stage finds its encodings, so they must differ (or the recipe be refused)."""
    from hft_core import RecipeError

    adapt, tune = project.recipe["stages"]
    objectives = [{"type": "masked-lm", "data": "corpus"}, {"type": "masked-lm", "data": "train"}]
    try:
        plan = project.built(stages=[adapt | {"objectives": objectives}, tune])
    except RecipeError:
        return
    assert len(plan.encodes) == 3
    assert len({node.name for node in plan.encodes}) == 3


def test_two_exports_of_one_type_keep_their_own_files(project: Any) -> None:
    from hft_core import RecipeError

    exports = [{"type": "onnx"}, {"type": "onnx", "precisions": ["int8"]}]
    try:
        plan = project.built(export=exports)
    except RecipeError:
        return
    assert len({node.name for node in plan.exports}) == 2


def test_keys_are_the_same_elsewhere_and_under_another_hash_seed(project: Any, make_project: Any) -> None:
    """Dict and set order, the folder, and the process have no part in a key."""
    other = make_project("elsewhere/deeper")
    script = (
        "import json, sys\n"
        "from pathlib import Path\n"
        "from hft_core.pipeline.plan import build_plan\n"
        "from hft_core.recipe import load_recipe\n"
        "from hft_core.registry import load_registry\n"
        "registry = load_registry()\n"
        "plan = build_plan(load_recipe(Path(sys.argv[1]), registry), registry)\n"
        "print(json.dumps({node.name: node.key for node in plan.nodes}))\n"
    )
    found = [
        json.loads(
            subprocess.run(
                [sys.executable, "-c", script, str(p.write())],
                env=os.environ | {"PYTHONHASHSEED": seed},
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
        for p, seed in ((project, "1"), (other, "4242"))
    ]
    assert found[0] == found[1] == project.plan()


TEACHER = '''
from typing import Literal
from hft_core import Model, Technique, hookimpl

class Taught(Technique):
    """Has a model of its own."""

    type: Literal["taught"]
    teacher: Model

@hookimpl
def register_techniques():
    return [Taught]
'''


def test_the_weights_of_a_model_within_a_technique_count(project: Any, tmp_path: Path) -> None:
    import shutil

    plugin = project.folder / "taught.py"
    plugin.write_text(TEACHER, encoding="utf-8")
    run = project.run("stages.0.epochs=1", "stages.1.epochs=1")
    teachers = [tmp_path / "first", tmp_path / "second"]
    for teacher in teachers:
        shutil.copytree(run.model, teacher)
    weights = teachers[1] / "model.safetensors"
    weights.chmod(0o644)
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\0")
    plans = []
    for teacher in teachers:
        project.recipe["stages"][1]["techniques"] = [
            {"type": "taught", "teacher": {"type": "bert", "source": str(teacher)}}
        ]
        plans.append(project.plan(plugins=(plugin,)))
    assert {name for name in plans[0] if plans[0][name] != plans[1][name]} == {*TRIED, *TRAINED} - {"export onnx"}


def test_what_a_technique_is_on_counts_and_not_how_it_is_called(project: Any) -> None:
    def keys(first: str, second: str, on: str) -> dict[str, str]:
        objectives = [
            {"type": "task", "data": "train", "name": first},
            {"type": "masked-lm", "data": "corpus", "name": second},
        ]
        project.recipe["stages"][1] |= {"objectives": objectives, "techniques": [{"type": "fgm", "on": [on]}]}
        return {name: key for name, key in project.plan().items() if name.startswith("stage")}

    before = keys("a", "b", "a")
    assert keys("b2", "b", "b2")["stage tune"] == before["stage tune"], "another name"
    assert keys("a", "b", "b")["stage tune"] != before["stage tune"], "another objective"


def test_a_metric_that_does_not_decide_trains_nothing_again(project: Any) -> None:
    before = project.plan(evaluate={"metrics": [{"type": "accuracy"}]})
    after = project.plan(evaluate={"metrics": [{"type": "accuracy"}, {"type": "perplexity"}, {"type": "f1"}]})
    assert {name for name in before if before[name] != after[name]} == {*TRIED, "evaluate", "diagnosis", "baselines"}


@pytest.mark.parametrize(
    ("kind", "step", "others"),
    [
        ("evaluate", "evidence", {"evidence/baselines.py", "evidence/tfidf.py"}),  # of the baselines, in the same file
        ("baselines", "evidence", set()),
        ("diagnosis", "diagnosis", set()),
        ("gate", "gate", set()),
        ("export", "export", set()),
    ],
)
def test_whatever_measures_is_part_of_the_key(kind: str, step: str, others: set[str]) -> None:
    """Each module of evidence/ that a step imports, through others of it too, is in the list of what makes it run again."""
    found, left = set[str](), [f"pipeline/steps/{step}.py"]
    while left:
        for module in _evidence_of(left.pop()) - found:
            found.add(module)
            left.append(module)
    assert found - others <= set(nodes._RUNS[kind][0])


def _evidence_of(module: str) -> set[str]:
    """The modules of evidence/ that a module imports."""
    root = Path(hft_core.__file__).parent
    found = set()
    for statement in ast.walk(ast.parse((root / module).read_text("utf-8"))):
        if isinstance(statement, ast.ImportFrom) and (statement.module or "").startswith("hft_core.evidence"):
            place = f"{str(statement.module).removeprefix('hft_core.').replace('.', '/')}"
            names = [f"{place}.py", *(f"{place}/{alias.name}.py" for alias in statement.names)]
            found.update(name for name in names if (root / name).is_file())
    return found
