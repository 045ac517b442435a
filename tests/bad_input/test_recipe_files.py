"""Recipes that are no recipes, and command lines that are wrong: exit code 2, one message, nothing is run."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from hft_core import RecipeError
from hft_core.recipe.yaml import parse_yaml


def bomb() -> str:
    """Nine levels of ten aliases each: 10 ** 9 values."""
    levels = ["a: &a [x,x,x,x,x,x,x,x,x,x]"]
    for before, name in pairwise("abcdefghi"):
        levels.append(f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]")
    return "\n".join(levels)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param("name: [a\n b: }", "line 2: not valid YAML", id="not YAML"),
        pytest.param("", "is empty", id="empty"),
        pytest.param("# nothing\n", "is empty", id="a comment only"),
        pytest.param("hello\n", "a recipe is a set of keys", id="a word"),
        pytest.param("- a\n- b\n", "a recipe is a set of keys", id="a list"),
        pytest.param("name: a\n---\nname: b\n", "line 2: not valid YAML", id="two documents"),
        pytest.param("name: a\n\tdata: b\n", "line 2: not valid YAML", id="a tab"),
        pytest.param(
            "name: a\nseed: 1\nname: b\n", "line 3: the key 'name' stands twice (first in line 1)", id="twice"
        ),
        pytest.param("data:\n  x: {type: csv, type: text}\n", "line 2: the key 'type' stands twice", id="twice inside"),
        pytest.param(bomb(), "too deep or too large", id="alias bomb"),
        pytest.param("a: &a [*a]\n", "too deep or too large", id="an alias of itself"),
        pytest.param("a: " + "[" * 200 + "]" * 200, "too deep", id="deep"),
        pytest.param("".join(" " * n + "a:\n" for n in range(1200)), "too deep", id="deeper than the stack"),
        pytest.param("name: " + "x" * 1_100_000, "a recipe has at most 1,000,000", id="huge"),
        pytest.param("name: té".encode("latin-1"), "is not UTF-8", id="Latin-1"),
        pytest.param("name: 评论".encode("gb18030"), "is not UTF-8", id="GB 18030"),
        pytest.param("name: a".encode("utf-16"), "is not UTF-8", id="UTF-16"),
        pytest.param(bytes(range(256)) * 9, "is not UTF-8", id="binary"),
        pytest.param("name: a\0b\n", "not valid YAML", id="NUL"),
        pytest.param("a: !!python/object/apply:os.system ['true']\n", "line 1: the tag", id="a Python object"),
        pytest.param("seed: !mine 1\n", "line 1: not valid YAML", id="a tag of its own"),
        pytest.param("name: a\nseed: !!int x\n", "line 2: 'x' does not fit its tag", id="a tag that does not fit"),
        pytest.param("a: &a {b: 1}\nc: {<<: *a}\n", "line 2: YAML 1.2 has no merge key", id="a merge key"),
        pytest.param("? [a, b]\n: c\n", "unknown key", id="a list as a key"),
    ],
)
def test_no_recipe(
    content: str | bytes, said: str, hft_here: Callable[..., Any], refused: Callable[..., None], tmp_path: Path
) -> None:
    (tmp_path / "r.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    refused(hft_here("check", "r.yaml"), "recipe", "r.yaml", said)


def test_yaml_1_2_values_are_taken_as_they_are_meant(tmp_path: Path) -> None:
    from hft_core.recipe.yaml import read_yaml

    file = tmp_path / "a.yaml"
    file.write_bytes("\ufeff一: 1e-5\nno: no\ndate: 2024-01-01\noctal: 0o17\nold: 017\nempty:\n".encode())
    value, lines = read_yaml(file)
    assert value == {"一": 1e-5, "no": "no", "date": "2024-01-01", "octal": 15, "old": 17, "empty": None}
    assert lines[("empty",)] == 6


def test_a_folder_a_missing_file_and_a_missing_folder(
    hft_here: Callable[..., Any], refused: Callable[..., None], tmp_path: Path
) -> None:
    (tmp_path / "recipe.yaml").touch()
    refused(hft_here("check", "."), "recipe", "is a folder", "recipe.yaml")
    refused(
        hft_here("run", "recipie.yaml"), "recipe", "there is no recipe recipie.yaml", "That folder has: recipe.yaml"
    )
    refused(hft_here("plan", "no/recipe.yaml"), "recipe", "there is no recipe no/recipe.yaml")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("x", "write it as path=value"),
        ("=5", "write it as path=value"),
        ("stages.0..epochs=1", "write it as path=value"),
        ("stages.1.epochs=3", "stages is a list of 1; use stages.0"),
        ("stages.x.epochs=3", "stages is a list of 1; use stages.0"),
        ("stages.-1.epochs=3", "stages is a list of 1; use stages.0"),
        ("stages.².epochs=3", "stages is a list of 1; use stages.0"),
        ("stages.0.epochs.x=3", "stages.0.epochs is 1, which has nothing inside"),
        ("stages.0.epoch=3", "--set, stages.0.epoch: unknown key 'epoch'; did you mean 'epochs'?"),
        ("stages.0.epochs=", "--set, stages.0.epochs: expected a number, found ''"),
        ("stages.0.epochs=[", "--set stages.0.epochs, line 1: not valid YAML"),
        ("stages=5", "--set, stages: expected a list, found 5"),
        ("export.0.type=onnx", "export: expected a list"),
        ("name=a/b", "--set, name: 'a/b'"),
        ("a.b.c=1", "unknown key 'a'"),
    ],
)
def test_set(override: str, said: str, tiny: Any, hft_here: Callable[..., Any], refused: Callable[..., None]) -> None:
    refused(hft_here("check", tiny.write(), "--set", override), "recipe", said)


def test_set_that_works(tiny: Any, hft_here: Callable[..., Any]) -> None:
    outcome = hft_here("check", tiny.write(), "--set", "stages.0.optimizer.lr=3e-5", "--set", "export=[{type: onnx}]")
    assert outcome.code == 0, outcome


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(
            lambda r: r["stages"][0]["objectives"][0].update(data="trein"),
            "stages.0.objectives.0.data: there is no data source 'trein'; did you mean 'train'?",
            id="unknown source",
        ),
        pytest.param(
            lambda r: r["stages"][0]["objectives"][0].update(data="validation"),
            "training on 'validation' would make its figures worthless",
            id="training on validation",
        ),
        pytest.param(
            lambda r: (
                r["data"].update(test=r["data"]["validation"]),
                r["stages"][0]["objectives"].append({"type": "masked-lm", "data": ["test"]}),
            ),
            "training on 'test' would make its figures worthless",
            id="language modelling on test",
        ),
        pytest.param(
            lambda r: r["data"].update(valid=r["data"].pop("validation")),
            "data.valid: nothing reads the source 'valid'",
            id="a source that nothing reads",
        ),
        pytest.param(
            lambda r: r["stages"][0]["objectives"][0].update(data=[]), "needs at least one data source", id="no source"
        ),
        pytest.param(
            lambda r: r.update(evaluate={"metrics": [{"type": "accuracy"}], "best": "f1"}),
            "evaluate.best: 'f1' is not among the task's metrics",
            id="best is not measured",
        ),
        pytest.param(
            lambda r: r.update(evaluate={"best": "recall"}),
            "evaluate.best: 'recall' is not among the task's usual metrics",
            id="best is no usual metric",
        ),
        pytest.param(
            lambda r: r.update(evaluate={"metrics": [{"type": "perplexity"}]}),
            "nothing in this recipe gives what 'perplexity' needs (nll, tokens)",
            id="a metric without its predictions",
        ),
        pytest.param(
            lambda r: (
                r["stages"].insert(0, {"stage": "pretrain", "objectives": [{"type": "masked-lm", "data": "train"}]}),
                r.update(evaluate={"metrics": [{"type": "perplexity"}]}),
            ),
            "none of the metrics measures the task's predictions",
            id="no metric for the task",
        ),
        pytest.param(
            lambda r: r.update(evaluate={"metrics": [{"type": "f1"}, {"type": "f1", "average": "micro"}]}),
            "2 metrics are called 'f1'",
            id="two figures of one name",
        ),
        pytest.param(
            lambda r: (r["stages"][0].update(when="helps"), r.update(evaluate={"seeds": 2})),
            "stages.0.when: `when: helps` may drop this entry, and the recipe is not valid without it",
            id="when of the only stage",
        ),
        pytest.param(
            lambda r: r.update(prepare={"augment": [{"type": "synonyms", "when": "helps"}]}),
            "prepare.augment.0.when: `when: helps` needs several seeds",
            id="when with one seed",
        ),
        pytest.param(
            lambda r: r.update(export=[{"type": "onnx"}, {"type": "onnx", "precisions": ["int8"]}]),
            "export: 2 entries are called 'onnx'",
            id="two exports of one name",
        ),
        pytest.param(
            lambda r: r.update(export=[{"type": "onnx", "name": "model"}]),
            "'model' is taken",
            id="the name of a folder",
        ),
        pytest.param(
            lambda r: r["stages"][0]["objectives"].extend([{"type": "masked-lm", "data": "train"}] * 2),
            "stages.0.objectives: 2 entries are called 'masked-lm'",
            id="two objectives of one name",
        ),
        pytest.param(
            lambda r: r["stages"].append(dict(r["stages"][0], name="finetune-0")),
            "stages: 2 entries are called 'finetune-0'",
            id="two stages of one name",
        ),
        pytest.param(lambda r: r["data"].update(split={}), "there is a `validation` source already", id="split too"),
        pytest.param(lambda r: r.pop("task"), "a finetune stage needs a `task`", id="no task"),
        pytest.param(lambda r: r["data"].pop("train"), "the task needs a source `train`", id="no train"),
        pytest.param(
            lambda r: r["stages"][0].update(stage="pretrain"), "make it a finetune stage", id="pretraining on labels"
        ),
        pytest.param(
            lambda r: r["stages"][0].update(objectives=[{"type": "masked-lm", "data": "train"}]),
            "a finetune stage needs an objective that trains the task",
            id="fine-tuning on text only",
        ),
        pytest.param(
            lambda r: r["data"]["train"].update(path="${HFT_NO_SUCH}/a.csv"),
            "data.train.path: the environment variable HFT_NO_SUCH is not set",
            id="an unset variable",
        ),
    ],
)
def test_entries_that_do_not_fit_together(
    change: Callable[[Any], object], said: str, tiny: Any, hft_here: Callable[..., Any], refused: Callable[..., None]
) -> None:
    change(tiny.recipe)
    refused(hft_here("check", tiny.write()), "recipe", "recipe.yaml, line ", said)


def test_command_lines(hft_here: Callable[..., Any], tmp_path: Path) -> None:
    for arguments, said in (
        (["chekc", "a.yaml"], "did you mean 'check'?"),
        (["check"], "Missing argument 'RECIPE'"),
        (["check", "a.yaml", "--plugins", "x"], "--plugin"),
        (["predict", "."], "needs either texts"),
        (["predict", ".", "--format", "xml", "a"], "xml"),
    ):
        outcome = hft_here(*arguments)
        assert outcome.code == 2, outcome
        assert said in outcome.err
        assert "Traceback" not in outcome.err


@pytest.mark.parametrize("command", ["export", "predict", "verify"])
def test_a_folder_that_is_no_run_and_no_bundle(
    command: str, hft_here: Callable[..., Any], refused: Callable[..., None], tmp_path: Path
) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("keep", encoding="utf-8")
    texts = ["a text"] if command == "predict" else []
    for folder in ("notes", "nowhere"):
        refused(hft_here(command, folder, *texts), "recipe", folder)
    assert os.listdir(tmp_path / "notes") == ["mine.txt"]


def test_it_is_one_process_away_from_the_shell(
    hft: Callable[..., Any], refused: Callable[..., None], tiny: Any, tmp_path: Path
) -> None:
    """The same through a real process: exit code and message reach the shell."""
    tiny.recipe["stages"][0]["epohcs"] = 3
    outcome = hft("run", tiny.write(), cwd=tiny.folder)
    refused(outcome, "recipe", "unknown key 'epohcs'; did you mean 'epochs'?")
    assert outcome.out == ""
    assert sorted(os.listdir(tiny.folder)) == ["dev.csv", "recipe.yaml", "train.csv"]


def test_the_python_interface_raises_what_the_command_says(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import hft_core

    monkeypatch.chdir(tiny.folder)
    recipe = json.loads(json.dumps(tiny.recipe))
    recipe["sede"] = 1
    with pytest.raises(hft_core.RecipeError, match="sede: unknown key 'sede'; did you mean 'seed'") as raised:
        hft_core.run(recipe)
    assert raised.value.exit_code == 2
    assert sorted(os.listdir(tiny.folder)) == ["dev.csv", "train.csv"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name：外卖\nseed: 0\n", "line 1 has the full-width '：', write ': '"),
        ("name: a\ndata: {train: {type: csv，path: x}}\n", "line 2 has the full-width '，', write ', '"),
        (
            "name: a\n\ndata: {train: {type：csv, path: x}}\n",
            "'type：csv' has no value; line 3 has the full-width '：'",
        ),
    ],
)
def test_signs_of_a_chinese_keyboard_are_pointed_at(text: str, said: str) -> None:
    with pytest.raises(RecipeError) as error:
        parse_yaml(text, "配方.yaml")
    assert said in str(error.value)


def test_a_recipe_of_such_signs_alone(hft_here: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("name：demo\ntask：x\n", encoding="utf-8")
    assert "line 1 has the full-width '：'" in hft_here("check", "r.yaml").err


@pytest.mark.parametrize(
    "text",
    ["name: 评论分类，第一版\nseed: 0\nmodel: {a: [1, 2}\n", "note: |\n  提示：写\n  a\nseed: 0\nmodel: {a: [1, 2}\n"],
)
def test_such_signs_are_not_blamed_for_other_mistakes(text: str) -> None:
    with pytest.raises(RecipeError) as error:
        parse_yaml(text, "配方.yaml")
    assert "full-width" not in str(error.value)


def test_such_signs_within_values_are_fine() -> None:
    assert parse_yaml("name: 外卖，好：吃  # 注：释\n", "配方.yaml")[0] == {"name": "外卖，好：吃"}


def test_what_is_typed_next_can_be_typed(tiny: Any, hft_here: Callable[..., Any]) -> None:
    recipe = tiny.write().rename(tiny.folder / "配方 1.yaml")
    assert "next: hft plan '配方 1.yaml'" in hft_here("check", recipe, cwd=tiny.folder).out
