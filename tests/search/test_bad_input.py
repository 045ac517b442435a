"""What is wrong with a search is said before anything is trained, and by `hft check` too."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.plugin_files import SHOUT

LR = "stages.1.optimizer.lr"


def refused(scratch: Any, hft_here: Callable[..., Any], code: int, *parts: str, check: bool = True) -> None:
    """Both commands refuse the recipe with these words, and the store is left as it was."""
    for command in ("search", *(["check"] if check else [])):
        outcome = hft_here(command, scratch.write())
        assert outcome.code == code, (command, outcome)
        for part in parts:
            assert part in outcome.err, (command, outcome.err)
        assert "Traceback" not in outcome.err
    store = scratch.folder.parent / "store"
    assert not (store / "objects").exists()
    assert not (scratch.folder / "runs").exists()


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        ({}, ["search.space: expected at least 1 entry"]),
        ({LR: {}}, ["give `low` and `high`, or `choices`"]),
        ({LR: {"low": 1e-3, "high": 1e-5}}, ["from low 0.001 to high 1e-05 stands the wrong way round"]),
        ({LR: {"low": 1e-3, "high": 1e-3}}, ["from low 0.001 to high 0.001 is empty"]),
        ({LR: {"low": 0, "high": 0.1, "log": True}}, ["low 0 has no logarithm"]),
        ({LR: {"low": -1.0, "high": 0.1, "log": True}}, ["low -1 has no logarithm"]),
        ({LR: {"low": 1e-5, "high": 1e-3, "log": True, "step": 1e-5}}, ["has no `step`"]),
        ({LR: {"low": 0.1, "high": 0.2, "step": 0.5}}, ["step 0.5 is longer than the range"]),
        ({LR: {"low": 1e-5, "high": 1e-3, "step": 0}}, ["step: expected more than 0, found 0"]),
        ({LR: {"low": 1e-5}}, ["give `low` and `high`"]),
        ({LR: {"low": "small", "high": 1}}, ["expected", "number", "found 'small'"]),
        ({LR: {"low": 1e-5, "hihg": 1e-3}}, ["unknown key 'hihg'; did you mean 'high'?"]),
        ({LR: {"choices": []}}, ["leaves nothing to choose"]),
        ({LR: {"choices": [0.1]}}, ["leaves nothing to choose"]),
        ({LR: {"choices": [0.1, 0.1]}}, ["one of the choices stands twice"]),
        ({LR: {"choices": [0.1, 0.2], "log": True}}, ["`choices` stand alone"]),
        ({"model.dropout": {"low": 0, "high": 1}}, ["write 0.0 for others too"]),
        ({LR: 0.1}, ["search.space.stages.1.optimizer.lr"]),
    ],
)
def test_a_space_that_is_none(searched: Any, hft_here: Any, space: Any, expected: list[str]) -> None:
    searched.recipe["search"]["space"] = space
    refused(searched, hft_here, 2, *expected)


@pytest.mark.parametrize(
    ("path", "dimension", "expected"),
    [
        ("stages.1.optimizer.lrr", {"low": 1e-5, "high": 1e-3}, ["unknown key 'lrr'; did you mean 'lr'?"]),
        ("stage.1.optimizer.lr", {"low": 1e-5, "high": 1e-3}, ["unknown key 'stage'; did you mean 'stages'?"]),
        ("stages.7.epochs", {"low": 1, "high": 3}, ["stages is a list of 2; use stages.0 to stages.1"]),
        ("stages.tune.epochs", {"low": 1, "high": 3}, ["stages is a list of 2"]),
        ("name.first", {"low": 1, "high": 3}, ["name"]),
        (LR, {"low": -1e-3, "high": 1e-3}, ["with stages.1.optimizer.lr = -0.001", "expected more than 0"]),
        ("stages.1.epochs", {"low": 1, "high": 50_000}, ["with stages.1.epochs = 50000", "expected at most 10000"]),
        ("stages.1.batch_size", {"low": 1.5, "high": 8.5}, ["expected a whole number", "1.5"]),
        ("stages.1.optimizer.type", {"choices": ["adam", "adm"]}, ["with stages.1.optimizer.type = 'adm'", "'adam'"]),
        ("stages.1.optimizer", {"choices": [{"type": "adam"}, {"lr": 1}]}, ["'type' is missing"]),
        ("seed", {"low": 0, "high": 5}, ["would choose luck"]),
        ("evaluate.best", {"choices": ["accuracy", "f1"]}, ["decides what trials are measured by"]),
        ("data.validation.path", {"choices": ["dev.csv", "test.csv"]}, ["decides what trials are measured by"]),
        ("name", {"choices": ["a", "b"]}, ["changes nothing that is measured"]),
    ],
)
def test_fields_and_values_that_are_none(
    searched: Any, hft_here: Any, path: str, dimension: Any, expected: list[str]
) -> None:
    searched.recipe["search"]["space"] = {path: dimension}
    refused(searched, hft_here, 2, "search.space", *expected)


def test_a_choice_whose_file_is_missing(searched: Any, hft_here: Any) -> None:
    searched.recipe["search"]["space"] = {"data.corpus.path": {"choices": ["corpus.txt", "corpse.txt"]}}
    refused(searched, hft_here, 3, "with data.corpus.path = 'corpse.txt'", "did you mean 'corpus.txt'?")


def test_values_that_do_not_go_together(searched: Any, hft_here: Any) -> None:
    """Each alone is valid; the two last ones together are not."""
    searched.recipe["stages"][1]["optimizer"] = {"type": "sgd", "lr": 0.1}
    searched.recipe["search"]["space"] = {
        "stages.1.optimizer.type": {"choices": ["sgd", "adam"]},
        "stages.1.optimizer.momentum": {"low": 0.5, "high": 0.9},
    }
    refused(searched, hft_here, 2, "search.space: with stages.1.optimizer.type = 'adam', ", "unknown key 'momentum'")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"trials": 0}, "search.trials: expected at least 1, found 0"),
        ({"trials": -3}, "expected at least 1, found -3"),
        ({"minutes": 0}, "search.minutes: expected more than 0, found 0"),
        ({"workers": 0}, "search.workers: expected at least 1, found 0"),
        ({"metric": "acuracy"}, "the task has no metric 'acuracy'; did you mean 'accuracy'? There are accuracy, f1"),
        ({"metric": "bleu"}, "the task has no metric 'bleu'. There are accuracy, f1"),
        ({"prune": "hard"}, "expected 'median', found 'hard'"),
        ({"study": "a/b"}, "does not match"),
        ({"budget": 3}, "unknown key 'budget'"),
    ],
)
def test_settings_that_are_none(searched: Any, hft_here: Any, change: Any, expected: str) -> None:
    searched.recipe["search"] |= change
    refused(searched, hft_here, 2, expected)


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ({"stages.1.optimizer.lrr": {"low": 1e-5, "high": 1e-3}, LR: {"low": 1e-4, "high": 1e-3}}, "unknown key 'lrr'"),
        ({"stages.1.batch_size": {"low": 1.5, "high": 8.5}}, "expected a whole number"),
        ({"stages.7.epochs": {"choices": [1, 2, 3]}, LR: {"choices": [0.1, 0.2]}}, "stages is a list of 2"),
        ({LR: {"low": -1e-3, "high": 1e-3}, "stages.1.epochs": {"low": 1, "high": 3}}, "expected more than 0"),
    ],
)
def test_one_mistake_is_told_once(searched: Any, hft_here: Any, space: Any, said: str) -> None:
    """Not for each end, nor again for all fields together."""
    searched.recipe["search"]["space"] = space
    outcome = hft_here("check", searched.write())
    assert outcome.code == 2
    assert outcome.err.count(said) == 1, outcome.err
    assert outcome.err.count("search.space") == 1, outcome.err


def test_each_choice_that_is_none_is_told(searched: Any, hft_here: Any) -> None:
    searched.recipe["search"]["space"] = {"stages.1.optimizer.type": {"choices": ["adam", "adm", "gds"]}}
    refused(searched, hft_here, 2, "type = 'adm'", "type = 'gds'")


# ---- what trials are measured by ----


def test_another_target(searched: Any, hft_here: Any) -> None:
    """Also where no field is named after it, and where only a middle choice has it."""
    for file in ("train", "dev", "test"):
        path = searched.folder / f"{file}.csv"
        lines = path.read_text("utf-8").splitlines()
        path.write_text("\n".join(f"{line},{'心情' if n == 0 else n % 2}" for n, line in enumerate(lines)), "utf-8")
    target = "trials would be measured by another target"
    searched.recipe["search"]["space"] = {"task.label": {"choices": ["sentiment", "心情"]}}
    refused(searched, hft_here, 2, "with task.label = '心情': ", target)
    whole = [{**searched.recipe["task"], **more} for more in ({}, {"label": "心情"}, {"threshold": "f1"})]
    searched.recipe["search"]["space"] = {"task": {"choices": whole}}
    refused(searched, hft_here, 2, target)


def test_a_target_that_is_read_otherwise(searched: Any, hft_here: Any) -> None:
    """The column is the same, what is right is not; a threshold changes neither. A column that is missing is told."""
    for file in ("train", "dev", "test"):
        path = searched.folder / f"{file}.csv"
        first, *lines = path.read_text("utf-8").splitlines()
        marks = ("a|b;c", "a;b", "b;c|a")
        path.write_text("\n".join([first, *(f"{line};{marks[n % 3]}" for n, line in enumerate(lines))]), "utf-8")
    searched.recipe["task"] = {
        "type": "multi-label-classification",
        "text": "review",
        "labels": "sentiment",
        "separator": ";",
    }
    space = searched.recipe["search"]["space"] = {"task.separator": {"choices": [";", "|"]}}
    refused(searched, hft_here, 2, "with task.separator = '|': ", "measured by another target")
    del space["task.separator"]
    space["task.thresholds"] = {"choices": ["shared", 0.4]}
    assert hft_here("check", searched.write()).code == 0
    space["task.labels"] = {"choices": ["sentiment", "mood"]}
    refused(searched, hft_here, 3, "with task.labels = 'mood': ", "no column 'mood'")


def test_training_rows_that_validation_is_split_off(searched: Any, hft_here: Any) -> None:
    more = searched.folder / "more.csv"
    more.write_text((searched.folder / "train.csv").read_text("utf-8") + "one more,neg\n", "utf-8")
    searched.recipe["search"]["space"] = {"data.train.path": {"choices": ["train.csv", "more.csv"]}}
    assert hft_here("check", searched.write()).code == 0, "validation is a file of its own"
    del searched.recipe["data"]["validation"]
    refused(searched, hft_here, 2, "with data.train.path = 'more.csv': ", "measured on other rows", "give a source of")


def test_what_a_task_decides_by_may_be_searched(searched: Any, hft_here: Any) -> None:
    searched.recipe["search"]["space"] = {"task.threshold": {"choices": [0.4, "f1", None]}}
    assert hft_here("check", searched.write()).code == 0


def test_a_recipe_without_a_search(searched: Any, hft_here: Any) -> None:
    del searched.recipe["search"]
    refused(searched, hft_here, 2, "the recipe has no `search`; add what to try", check=False)


def test_a_recipe_without_a_task(searched: Any, hft_here: Any) -> None:
    searched.recipe["search"]["space"] = {"stages.0.epochs": {"low": 2, "high": 4}}
    del searched.recipe["task"], searched.recipe["stages"][1]
    for split in ("train", "validation", "test"):
        del searched.recipe["data"][split]
    refused(searched, hft_here, 2, "a search needs a `task`")


def test_a_file_in_the_place_of_the_best_recipe(searched: Any, hft_here: Any) -> None:
    (searched.folder / "recipe.best.yaml").write_text("name: mine\n", encoding="utf-8")
    refused(searched, hft_here, 2, "recipe.best.yaml is not of hft search", check=False)
    assert (searched.folder / "recipe.best.yaml").read_text("utf-8") == "name: mine\n"


# ---- the database ----


def database(scratch: Any) -> Path:
    file: Path = scratch.folder.parent / "store" / "search" / "searched.db"
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def test_a_damaged_database(searched: Any, hft_here: Any) -> None:
    database(searched).write_bytes(b"no database at all, but long enough to be looked at" * 40)
    refused(searched, hft_here, 9, "searched.db is damaged (file is not a database)", "move it away", check=False)
    assert database(searched).read_bytes().startswith(b"no database")


def test_a_database_of_something_else(searched: Any, hft_here: Any) -> None:
    with sqlite3.connect(database(searched)) as other:
        other.execute("CREATE TABLE studies (films INTEGER)")
    outcome = hft_here("search", searched.write())
    assert outcome.code in (7, 9), outcome
    assert "searched.db" in outcome.err
    assert "Traceback" not in outcome.err


def test_a_database_that_another_program_holds(searched: Any, hft_here: Any) -> None:
    holder = sqlite3.connect(database(searched), isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        refused(searched, hft_here, 8, "searched.db is locked by another program", check=False)
    finally:
        holder.close()


def test_a_database_that_is_a_folder(searched: Any, hft_here: Any) -> None:
    database(searched).mkdir()
    refused(searched, hft_here, 7, "cannot be used", check=False)


def test_a_url_that_is_none(searched: Any, hft_here: Any) -> None:
    outcome = hft_here("search", searched.write(), "--storage", "my database")
    assert outcome.code == 2, outcome
    assert "what --storage (or HFT_SEARCH_STORAGE) gives is no database URL" in outcome.err


@pytest.mark.parametrize(
    "url",
    ["postgres//me:secret@host/db", "postgresql://me:secret@host:port/db", "me:secret", "postgres://me:secret@host/db"],
)
def test_a_password_in_what_is_no_url(searched: Any, hft_here: Any, url: str) -> None:
    for command in (["--storage", url], []):
        outcome = hft_here("search", searched.write(), *command, HFT_SEARCH_STORAGE=url)
        assert outcome.code in (2, 4, 7), outcome
        assert "secret" not in outcome.err + outcome.out
        assert "Traceback" not in outcome.err


def test_a_database_without_its_driver_or_server(searched: Any, hft_here: Any) -> None:
    """The password of a URL is never shown."""
    outcome = hft_here("search", searched.write(), "--storage", "postgresql://me:secret@127.0.0.1:9/none")
    assert outcome.code in (4, 7), outcome
    assert "postgresql://me:***@127.0.0.1:9/none" in outcome.err
    assert "secret" not in outcome.err


def test_another_search_of_the_study(searched: Any, hft_here: Any) -> None:
    from hft_core.search.database import sqlite_url
    from hft_core.store.hashing import digest_json
    from hft_core.store.store import Store

    store = Store(searched.folder.parent / "store")
    with store.lock(digest_json([sqlite_url(database(searched)), "searched"]), lambda text: None):
        refused(searched, hft_here, 8, "another hft search is at work on the study 'searched'", check=False)


def begin(scratch: Any, hft_here: Any, name: str = "searched") -> None:
    """Make the study, with one trial that has ended."""
    import optuna

    from hft_core.search.database import sqlite_url

    assert hft_here("search", scratch.write(), "--dry-run").code == 0
    study = optuna.load_study(storage=sqlite_url(database(scratch).with_stem(name)), study_name=name)
    study.add_trial(optuna.create_trial(value=0.5))


def test_a_study_without_a_trial_is_nobodys(searched: Any, hft_here: Any) -> None:
    assert hft_here("search", searched.write(), "--dry-run").code == 0
    searched.recipe["stages"][1]["epochs"] = 7
    searched.recipe["search"]["metric"] = "f1"
    assert hft_here("search", searched.write(), "--dry-run").code == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda recipe: recipe["stages"][1].update(epochs=4), "stages.1.epochs is another there"),
        (lambda recipe: recipe["search"]["space"][LR].update(high=0.1), "its space is another"),
        (lambda recipe: recipe["search"].update(metric="f1"), "its metric is another ('accuracy' there, 'f1' here)"),
        (lambda recipe: recipe.update(seed=1), "seed is another there"),
    ],
)
def test_a_study_of_another_recipe(searched: Any, hft_here: Any, change: Any, expected: str) -> None:
    begin(searched, hft_here)
    change(searched.recipe)
    refused(searched, hft_here, 2, "there is a study 'searched' of something else", expected, check=False)
    searched.recipe["search"]["study"] = "another"
    assert hft_here("search", searched.write(), "--dry-run").code == 0


def test_a_study_of_other_data(searched: Any, hft_here: Any) -> None:
    begin(searched, hft_here)
    file = searched.folder / "train.csv"
    file.write_text(file.read_text("utf-8") + "one more,neg\n", encoding="utf-8")
    refused(searched, hft_here, 2, "its data, or a default, is another", check=False)


def with_plugin(scratch: Any) -> Path:
    """Let the recipe use a plugin of one file."""
    file: Path = scratch.folder / "shout.py"
    file.write_text(SHOUT, encoding="utf-8")
    scratch.recipe["plugins"] = ["shout.py"]
    scratch.recipe["prepare"] = {"augment": [{"type": "shout"}]}
    return file


def test_a_study_of_other_plugin_code(searched: Any, hft_here: Any) -> None:
    file = with_plugin(searched)
    begin(searched, hft_here)
    file.write_text(SHOUT.replace("upper()", "lower()"), encoding="utf-8")
    said = "a plugin's code is another: shout (file "
    refused(searched, hft_here, 2, said, "begin another with `search: {study: NAME}`", check=False)
    file.write_text(SHOUT, encoding="utf-8")
    assert hft_here("search", searched.write(), "--dry-run").code == 0


def test_plugin_files_of_one_name_are_told_apart(searched: Any, hft_here: Any) -> None:
    file, other = with_plugin(searched), searched.folder / "more" / "shout.py"
    other.parent.mkdir()
    other.write_text(SHOUT.replace('"shout"', '"whisper"').replace("Shout", "Whisper"), encoding="utf-8")
    searched.recipe["plugins"].append("more/shout.py")
    searched.recipe["prepare"]["augment"].append({"type": "whisper"})
    begin(searched, hft_here)
    file.write_text(SHOUT.replace("upper()", "lower()"), encoding="utf-8")
    refused(searched, hft_here, 2, "a plugin's code is another: shout (file ", check=False)


def test_plugin_code_of_a_choice_counts_and_other_code_does_not(searched: Any, hft_here: Any) -> None:
    """In the middle of three, where neither end of the space has it; a plugin that is not used may change."""
    file = with_plugin(searched)
    del searched.recipe["prepare"]
    begin(searched, hft_here)
    file.write_text(SHOUT + "# later\n", encoding="utf-8")
    assert hft_here("search", searched.write(), "--dry-run").code == 0
    choices: list[list[Any]] = [[], [{"type": "shout"}], [{"type": "random-swap"}]]
    searched.recipe["search"] |= {"study": "choices", "space": {"prepare.augment": {"choices": choices}}}
    begin(searched, hft_here, "choices")
    file.write_text(SHOUT, encoding="utf-8")
    refused(searched, hft_here, 2, "a plugin's code is another: shout (file ", check=False)


def test_another_version_of_hft_is_noted(searched: Any, hft_here: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time from then on, and the study goes on."""
    import hft_core

    begin(searched, hft_here)
    here = hft_core.__version__
    monkeypatch.setattr(hft_core, "__version__", "99.1")
    for _ in range(2):
        outcome = hft_here("search", searched.write(), "--dry-run")
        assert outcome.code == 0, outcome
        assert f"the study 'searched' is of hft {here} and 99.1" in outcome.err


def test_what_changes_no_trial_is_no_other_study(searched: Any, hft_here: Any) -> None:
    """More trials, other names, an export, and the written values of the searched fields themselves."""
    begin(searched, hft_here)
    searched.recipe["search"] |= {"trials": 30, "workers": 2, "minutes": 5, "study": "searched"}
    searched.recipe |= {"name": "renamed", "export": [{"type": "onnx"}]}
    searched.recipe["stages"][1]["optimizer"]["lr"] = 5e-3
    assert hft_here("search", searched.write(), "--dry-run").code == 0


def test_a_study_that_hft_has_not_made(searched: Any, hft_here: Any) -> None:
    import optuna

    from hft_core.search.database import sqlite_url

    study = optuna.create_study(storage=sqlite_url(database(searched)), study_name="searched")
    study.add_trial(optuna.create_trial(value=1.0))
    refused(searched, hft_here, 2, "hft has not made it", check=False)
