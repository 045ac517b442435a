"""The examples are valid, and they run: the quickstarts, the hub model, and the third-party plugin, end to end."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hft_core.pipeline.run import Run

EXAMPLES = Path(__file__).parents[2] / "examples"
RECIPES = sorted(EXAMPLES.glob("*/recipe.yaml"))


def _run(*arguments: object, path: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command of this environment's; `path` goes to the front of PYTHONPATH."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HFT_", "HF_"))}
    if path:
        kept["PYTHONPATH"] = path
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=kept | {"OMP_WAIT_POLICY": "PASSIVE"} | environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, f"{arguments}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def _hft(*arguments: object, path: str = "", **environment: str) -> str:
    done = _run("-m", "hft_core", *arguments, path=path, **environment)
    return done.stdout + done.stderr


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    """A copy of all examples, so that runs leave nothing behind in the repository."""
    folder = tmp_path / "examples"
    shutil.copytree(EXAMPLES, folder, ignore=shutil.ignore_patterns("runs", ".hft", "__pycache__"))
    return folder


@pytest.fixture(scope="session")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder into which pip has installed the example plugin."""
    source = tmp_path_factory.mktemp("source") / "plugin"
    shutil.copytree(EXAMPLES / "plugin", source, ignore=shutil.ignore_patterns("runs", ".hft", "__pycache__"))
    target = tmp_path_factory.mktemp("site")
    offline = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check")
    _run("-m", "pip", "install", *offline, "--target", target, source)
    return str(target)


def test_there_are_examples():
    assert {file.parent.name for file in RECIPES} >= {
        "quickstart",
        "quickstart-zh",
        "sst2",
        "resume-ner",
        "bert-base-chinese",
        "plugin",
    }


@pytest.mark.parametrize(
    "folder", sorted(path for path in EXAMPLES.iterdir() if path.is_dir()), ids=lambda path: path.name
)
def test_every_example_explains_itself(folder):
    assert (folder / "README.md").is_file()


# The files of `hybrid` are written by its script: test_hybrid_example.py has them.
@pytest.mark.parametrize(
    "recipe", [file for file in RECIPES if file.parent.name != "hybrid"], ids=lambda file: file.parent.name
)
def test_recipe_is_valid(recipe, request):
    environment = {}
    if "${HFT_DATA}" in recipe.read_text("utf-8"):
        environment["HFT_DATA"] = str(request.getfixturevalue("data_dir"))
    path = request.getfixturevalue("plugin") if recipe.parent.name == "plugin" else ""
    assert "is valid" in _hft("check", recipe, path=path, **environment)


# The plain fine-tuning that reports compare with is a run of its own: tests/evidence has it.
WITHOUT_PLAIN = ("--set", "evaluate.plain=false")


@pytest.mark.slow
def test_quickstart_beats_the_majority(examples):
    printed = _hft("run", examples / "quickstart" / "recipe.yaml", *WITHOUT_PLAIN)
    run = Run.open(examples / "quickstart" / "runs" / "quickstart")
    assert run.metrics["test"]["accuracy"] > 0.7  # majority: 0.5
    assert f"report: {run.report}" in printed
    answers = run.predict(["Absolutely wonderful, I love it.", "Terrible quality, a waste of money."])
    assert [answer["label"] for answer in answers] == ["positive", "negative"]


@pytest.mark.slow
def test_quickstart_zh_beats_the_majority(examples):
    _hft("run", examples / "quickstart-zh" / "recipe.yaml", *WITHOUT_PLAIN)
    run = Run.open(examples / "quickstart-zh" / "runs" / "quickstart-zh")
    assert run.metrics["test"]["accuracy"] > 0.57  # majority: 0.5
    assert {answer["label"] for answer in run.predict(["味道很好", "太差了"])} <= {"好评", "差评"}


@pytest.fixture
def hub(tmp_path: Path, examples: Path) -> dict[str, str]:
    """A hub cache that holds a tiny random BERT under the name bert-base-chinese, and no network."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertForMaskedLM

    with (examples / "quickstart-zh" / "data" / "train.csv").open(encoding="utf-8", newline="") as stream:
        letters = sorted(
            {letter for row in csv.DictReader(stream) for letter in row["评论"] or "" if not letter.isspace()}
        )
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters]
    cache = tmp_path / "cache"
    home = cache / "hub" / "models--bert-base-chinese"
    snapshot = home / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text("0" * 40, encoding="utf-8")

    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    BertForMaskedLM(BertConfig(vocab_size=len(words), **sizes)).save_pretrained(snapshot)
    tokenizer = Tokenizer(models.WordPiece({word: index for index, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [("[CLS]", 2), ("[SEP]", 3)]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
    )
    tokenizer.save(str(snapshot / "tokenizer.json"))
    return {"HF_HOME": str(cache), "HF_HUB_OFFLINE": "1"}


@pytest.mark.slow
def test_hub_model_as_recipe(examples, hub):
    folder = examples / "bert-base-chinese"
    printed = _hft("run", folder / "recipe.yaml", "--set", "stages.0.epochs=1", **hub)
    run = Run.open(folder / "runs" / "bert-base-chinese")
    assert "test accuracy:" in printed
    assert json.loads((run.model / "config.json").read_text("utf-8"))["hidden_size"] == 32  # the model of the cache
    assert "bert-base-chinese" in (run.folder / "README.md").read_text("utf-8")


@pytest.mark.slow
def test_hub_model_in_python(examples, hub, tmp_path):
    script = examples / "bert-base-chinese" / "run.py"
    quick = script.with_name("quick.py")
    assert '"epochs": 10' in script.read_text("utf-8")
    quick.write_text(script.read_text("utf-8").replace('"epochs": 10', '"epochs": 1'), encoding="utf-8")
    done = _run(quick, HFT_STORE=str(tmp_path / "store"), **hub)
    assert "accuracy on the test rows: 0." in done.stdout
    assert "'label': '" in done.stdout


def test_hub_model_that_is_not_there_is_one_message(examples, tmp_path):
    with pytest.raises(AssertionError, match="exit code 4") as caught:
        _hft("plan", examples / "bert-base-chinese" / "recipe.yaml", HF_HOME=str(tmp_path), HF_HUB_OFFLINE="1")
    assert "bert-base-chinese" in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_plugin_is_listed(plugin):
    rows = json.loads(_hft("plugins", "--json", path=plugin))
    mine = next(row for row in rows if row["name"] == "shorthand")
    assert (mine["distribution"], mine["version"], mine["problem"]) == ("hft-shorthand", "0.1.0", None)
    assert [component["type"] for component in mine["components"]] == ["elongation", "shorthand"]


def test_recipe_of_a_missing_plugin_names_what_is_missing():
    with pytest.raises(AssertionError, match="exit code") as caught:
        _hft("check", EXAMPLES / "plugin" / "recipe.yaml")
    assert "there is no cleaner 'elongation'" in str(caught.value)
    assert "there is no augmenter 'shorthand'" in str(caught.value)


@pytest.mark.slow
def test_plugin_is_used_by_a_recipe(examples, plugin):
    folder = examples / "plugin"
    _hft("run", folder / "recipe.yaml", path=plugin)
    run = folder / "runs" / "shorthand"
    report = json.loads((run / "report.json").read_text("utf-8"))
    ledger = next(split for split in report["ledger"] if split["name"] == "train")
    assert ledger["made"]["shorthand"] > 0
    bundle = json.loads((run / "bundle" / "bundle.json").read_text("utf-8"))
    assert bundle["requires"] == {"hft-shorthand": "0.1.0"}
    assert "hft_shorthand.elongation" in {cleaner["module"] for cleaner in bundle["cleaners"]}

    # At predict time the plugin's cleaner runs; and without the plugin the bundle says what to install.
    texts = ("Sooooo good.", "Soo good.")
    long, short = (json.loads(_hft("predict", run / "bundle", text, path=plugin)) for text in texts)
    assert (long.pop("review"), short.pop("review")) == texts  # as they were asked
    assert long == short
    with pytest.raises(AssertionError, match="exit code 4") as caught:
        _hft("predict", run / "bundle", "Sooooo good.")
    assert "pip install hft-shorthand==0.1.0" in str(caught.value)
