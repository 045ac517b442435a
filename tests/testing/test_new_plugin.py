"""What `hft new plugin` writes works as it is, for each kind: it loads, keeps to the contract, and runs in its recipe."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hft_core import Columns
from hft_core.cli.new import _KINDS, _SIZES
from hft_core.components import KINDS
from hft_core.testing import Sample, Unchecked, checks_of
from hft_core.testing.checks import OF_KIND

ROOT = Path(__file__).parents[2]
_OF_A_METRIC = [check.__name__ for check in OF_KIND["metric"]]


@pytest.fixture
def made(
    hft_here: Callable[..., Any], installed: Callable[[Path], Path], tmp_path: Path
) -> Callable[[str], tuple[str, Path]]:
    """Give ``made(kind)``: the plugin's name and folder, as `hft new plugin` leaves it, installed."""

    def make(kind: str) -> tuple[str, Path]:
        outcome = hft_here("new", "plugin", f"my-{kind}", "--kind", kind)
        assert outcome.code == 0, outcome
        assert "next: pip install -e" in outcome.out
        return f"my-{kind}", installed(tmp_path / f"hft-my-{kind}")

    return make


def test_every_kind_can_be_begun() -> None:
    assert set(_KINDS) == set(KINDS)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_it_keeps_to_the_contract(kind: str, made: Callable[[str], tuple[str, Path]]) -> None:
    name, _ = made(kind)
    checks = checks_of(name)
    assert len(checks) > 15
    for check in checks:
        try:
            check()
        except Unchecked as reason:
            assert "untouched" in check.id, f"{check.id}: {reason}"  # noqa: PT017  # what a template leaves unchecked is little


@pytest.mark.parametrize("kind", KINDS)
def test_its_recipe_is_valid_and_shown(
    kind: str, made: Callable[[str], tuple[str, Path]], hft_here: Callable[..., Any]
) -> None:
    name, folder = made(kind)
    outcome = hft_here("check", folder / "recipe.yaml")
    assert outcome.code == 0, outcome
    shown = hft_here("plugins", "show", name)
    assert shown.code == 0, shown
    assert f"{name}  {kind} of {name} (hft-{name} 0.1.0)" in shown.out
    text = "".join(file.read_text("utf-8") for file in folder.rglob("*") if file.is_file() and file.suffix != ".pyc")
    assert "example-type" not in text
    assert "hft_example" not in text
    assert "ExampleClass" not in text


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_its_recipe_runs(kind: str, made: Callable[[str], tuple[str, Path]], hft_here: Callable[..., Any]) -> None:
    _, folder = made(kind)
    outcome = hft_here("run", folder / "recipe.yaml")
    assert outcome.code == 0, outcome
    assert (folder / "runs" / f"my-{kind}" / "report.html").is_file()


def test_what_is_written_is_linted_and_documented(made: Callable[[str], tuple[str, Path]], tmp_path: Path) -> None:
    folders = [made(kind)[1] for kind in KINDS]
    for folder in folders:
        for file in folder.rglob("hft_*/*.py"):
            assert ast.get_docstring(ast.parse(file.read_text("utf-8"))), f"{file} says not what it is"
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--config", str(ROOT / "pyproject.toml"), *map(str, folders)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


_PAIRS: Columns = {
    "anchor": ["a good film", "the phone rings", "下雨了", "fresh bread"],
    "positive": ["a fine movie", "a call comes in", "外面在下雨", "bread out of the oven"],
}
OTHERS: dict[str, tuple[str, dict[str, Sample]]] = {
    "examples/plugin": ("hft-shorthand", {}),
    "tests/contract/distributions/hft-bag": ("hft-bag", {"bag": Sample(heads={"sequence-classification": 3})}),
    "tests/contract/distributions/hft-contrastive": (
        "hft-contrastive",
        {
            "text-pairs": Sample(columns=_PAIRS),
            "contrastive": Sample(columns=_PAIRS, task={"type": "text-pairs"}),
            "contrastive-plain": Sample(columns=_PAIRS, task={"type": "text-pairs"}),
            "pair-retrieval": Sample(skip=dict.fromkeys(_OF_A_METRIC, "it ranks a row among all others")),
        },
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("place", OTHERS)
def test_distributions_that_were_written_by_hand(place: str, installed: Callable[[Path], Path], tmp_path: Path) -> None:
    name, samples = OTHERS[place]
    installed(Path(shutil.copytree(ROOT / place, tmp_path / name)))
    for check in checks_of(name, samples):
        try:
            check()
        except Unchecked as reason:
            assert str(reason)  # noqa: PT017  # it says why


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Shout", "'Shout' cannot be a plugin's name: take small letters"),
        ("a_b", "cannot be a plugin's name"),
        ("core", "hft_core is a package of the engine itself"),
        ("none", "the component's class would be called None"),
        ("param-group", "the component's class would be called ParamGroup, which Python or its own code needs"),
        ("adam", "there is a optimizer 'adam' already, of optimizers (hft-core"),
    ],
)
def test_a_name_that_cannot_serve(name: str, said: str, hft_here: Callable[..., Any]) -> None:
    outcome = hft_here("new", "plugin", name, "--kind", "optimizer")
    assert outcome.code == 2
    assert said in outcome.err


def test_nothing_is_overwritten(hft_here: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "hft-mine").mkdir()
    (tmp_path / "hft-mine" / "work.py").write_text("")
    outcome = hft_here("new", "plugin", "mine", "--kind", "metric")
    assert outcome.code == 7
    assert "exists already; choose another name, or another place with --out" in outcome.err
    (tmp_path / "recipe.yaml").write_text("")
    assert "recipe.yaml exists already" in hft_here("new", "recipe", "--data", "x.csv").err


def test_a_recipe_is_asked_for_and_valid(tiny: Any, hft_here: Callable[..., Any], hft: Callable[..., Any]) -> None:
    """Flags answer the questions; the recipe passes `hft check` as it is, and begins with the line for editors."""
    outcome = hft_here("new", "recipe", "mine.yaml", "--data", "train.csv", "--task", "text-classification", "--model", "tiny", cwd=tiny.folder)  # fmt: skip # noqa: E501
    assert outcome.code == 0, outcome
    assert "next: hft plan mine.yaml" in outcome.out
    text = (tiny.folder / "mine.yaml").read_text("utf-8")
    assert text.startswith("# yaml-language-server: $schema=recipe.schema.json\n")
    assert (tiny.folder / "recipe.schema.json").is_file()
    assert "# Column with the label" in text
    assert hft_here("check", "mine.yaml", cwd=tiny.folder).code == 0


def test_three_questions_are_asked(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    from hft_core.cli.main import cli

    monkeypatch.chdir(tiny.folder)
    outcome = CliRunner().invoke(cli, ["new", "recipe"], input="train.csv\ntext-classification\ntiny\n")
    assert outcome.exit_code == 0, outcome.output
    assert [outcome.output.count(word) for word in ("Which file", "What is to be learned", "Which model")] == [1, 1, 1]
    assert '{type: csv, path: "train.csv"}' in (tiny.folder / "recipe.yaml").read_text("utf-8")
    assert "scratch: tiny" in (tiny.folder / "recipe.yaml").read_text("utf-8")


def test_nobody_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    from hft_core import RecipeError
    from hft_core.cli.main import cli

    monkeypatch.chdir(tmp_path)
    outcome = CliRunner().invoke(cli, ["new", "recipe", "--data", "x.csv", "--task", "text-classification"], input="")
    assert isinstance(outcome.exception, RecipeError), outcome.output
    assert "nothing was written. Give it as an option: --model" in str(outcome.exception)
    assert not (tmp_path / "recipe.yaml").exists()


def test_a_recipe_for_a_task_that_writes(hft_here: Callable[..., Any], tmp_path: Path) -> None:
    """Its tokenizer can write every text, and settings stand there as a recipe takes them."""
    outcome = hft_here("new", "recipe", "--data", "x.csv", "--task", "text-to-text", "--model", "tiny")
    assert outcome.code == 0, outcome
    text = (tmp_path / "recipe.yaml").read_text("utf-8")
    assert "# decoding: {}" in text
    assert "tokenizer: {type: bpe" in text
    assert "#   objectives: [{type: span-corruption, data: corpus}]" in text  # what such a model is pre-trained with


def test_a_recipe_for_an_unknown_task(hft_here: Callable[..., Any]) -> None:
    outcome = hft_here("new", "recipe", "--data", "x.csv", "--task", "text-clasification", "--model", "tiny")
    assert outcome.code == 2
    assert "did you mean 'text-classification'?" in outcome.err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--data", "x.csv", "--model", "tinny"), "--model 'tinny' is no size; did you mean 'tiny'?"),
        (("--data", "评论.xlsx", "--model", "tiny"), "评论.xlsx is an Excel workbook; save its sheet as CSV"),
    ],
)
def test_a_recipe_for_what_cannot_be_meant(flags: tuple[str, ...], said: str, hft_here: Callable[..., Any]) -> None:
    outcome = hft_here("new", "recipe", *flags, "--task", "text-classification")
    assert outcome.code == 2
    assert said in outcome.err


def test_the_sizes_are_those_of_scratch_models() -> None:
    from hft_plugins.transformers.scratch import Scratch

    assert set(_SIZES) <= set(str(Scratch.model_fields["scratch"].annotation).replace("'", " ").split())


@pytest.mark.parametrize(("file", "name"), [("my: own.yaml", "my-own"), ("7.yaml", "recipe-7"), ("评论.yaml", "评论")])
def test_a_recipe_is_named_after_its_file(file: str, name: str, hft_here: Callable[..., Any], tmp_path: Path) -> None:
    flags = ("--data", "train.csv", "--task", "text-classification", "--model", "tiny")
    assert hft_here("new", "recipe", file, *flags).code == 0
    assert f"\nname: {name}\n" in (tmp_path / file).read_text("utf-8")
