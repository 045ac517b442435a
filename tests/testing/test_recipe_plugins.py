"""What a recipe says of plugins (`plugins`, `requires`, `disable`), what is written down of them, and locks."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hft_core import PluginError, RecipeError
from hft_core.pipeline import nodes
from hft_core.recipe import load_recipe
from hft_core.recipe.lock import PACKAGES
from hft_core.recipe.plugins import registry_for
from hft_core.registry import load_registry
from hft_core.registry.record import differences, record, used
from hft_core.registry.requirements import unmet

from ..plugin_files import SHOUT
from .conftest import write_metadata


@pytest.fixture
def shouting(tiny: Any) -> Any:
    """The tiny recipe with a plugin file that it names itself."""
    (tiny.folder / "mine.py").write_text(SHOUT, encoding="utf-8")
    tiny.recipe["plugins"] = ["./mine.py"]
    tiny.recipe["prepare"] = {"augment": [{"type": "shout"}]}
    return tiny


def test_a_recipe_brings_its_own_file(shouting: Any, hft_here: Callable[..., Any], tmp_path: Path) -> None:
    """Its path starts beside the recipe, wherever the command is given."""
    recipe = shouting.write()
    assert hft_here("check", recipe, cwd=tmp_path).code == 0
    outcome = hft_here("check", recipe, "--plugin", shouting.folder / "mine.py")  # the same file, named twice
    assert outcome.code == 0, outcome
    outcome = hft_here("check", recipe, "--disable", "mine")
    assert outcome.code == 2
    assert "there is no augmenter 'shout'" in outcome.err
    assert "Disabled by --disable: mine" in outcome.err


@pytest.mark.parametrize(
    ("plugins", "code", "said"),
    [
        (["./none.py"], 4, "the recipe's plugin {folder}/none.py cannot be loaded: there is no such file"),
        (["./broken.py"], 4, "the recipe's plugin {folder}/broken.py cannot be loaded: ValueError: no"),
        (["${NO_SUCH_NAME}/x.py"], 2, "line 2, plugins: the environment variable NO_SUCH_NAME is not set"),
        ("./mine.py", 2, "plugins: expected a list, found './mine.py'"),
        ([3], 2, "plugins.0: expected a path, found 3"),
    ],
)
def test_a_file_that_cannot_be_loaded(
    plugins: Any, code: int, said: str, tiny: Any, hft_here: Callable[..., Any]
) -> None:
    (tiny.folder / "broken.py").write_text("raise ValueError('no')")
    tiny.recipe = {"plugins": plugins, **tiny.recipe}
    outcome = hft_here("check", tiny.write())
    assert outcome.code == code, outcome
    assert said.format(folder=tiny.folder) in outcome.err
    assert "Traceback" not in outcome.err


def test_an_allow_list_holds_for_a_recipes_files(shouting: Any, hft_here: Callable[..., Any]) -> None:
    recipe = shouting.write()
    outcome = hft_here("check", recipe, HFT_ALLOWED_PLUGINS="hft-core")
    assert outcome.code == 4
    assert "mine.py is not loaded, for HFT_ALLOWED_PLUGINS does not have 'mine'" in outcome.err
    assert hft_here("check", recipe, HFT_ALLOWED_PLUGINS="hft-core,mine").code == 0


def test_disabled_by_the_recipe(tiny: Any, hft_here: Callable[..., Any]) -> None:
    tiny.recipe["disable"] = ["optimizers"]
    outcome = hft_here("check", tiny.write())
    assert outcome.code == 2
    assert "there is no optimizer 'adam'" in outcome.err
    assert "Disabled by the recipe's `disable`: optimizers" in outcome.err


@pytest.mark.parametrize(
    ("requires", "code", "said"),
    [
        (["numpy>=1", "hft-core"], 0, ""),
        (["hft-nowhere>=0.2,<1"], 4, "requires.0: hft-nowhere<1,>=0.2 is not installed; run: pip install 'hft-nowhere<1,>=0.2'"),
        (["numpy", "numpy>=99"], 4, "requires.1: numpy>=99 is needed, and numpy "),
        (["hft-nowhere; python_version < '3'"], 0, ""),
        (["not a requirement!"], 2, "requires.0: 'not a requirement!' is no requirement, such as 'hft-mine>=0.2,<1'"),
        ("numpy", 2, "requires: expected a list, found 'numpy'"),
    ],
)  # fmt: skip
def test_requirements(requires: Any, code: int, said: str, tiny: Any, hft_here: Callable[..., Any]) -> None:
    tiny.recipe["requires"] = requires
    outcome = hft_here("check", tiny.write())
    assert outcome.code == code, outcome
    assert said in outcome.err


def test_a_requirement_is_told_before_what_it_would_have_brought(tiny: Any, hft_here: Callable[..., Any]) -> None:
    tiny.recipe["requires"] = ["hft-nowhere"]
    tiny.recipe["prepare"] = {"augment": [{"type": "shout"}]}
    outcome = hft_here("check", tiny.write())
    assert outcome.code == 4
    assert "pip install 'hft-nowhere'" in outcome.err
    assert "there is no augmenter" not in outcome.err


def test_a_dict_and_overrides(shouting: Any) -> None:
    """`hft_core.run` takes the same; what it is given stays as it is."""
    given = {"plugins": ["./mine.py"]}
    loaded = registry_for(given, folder=shouting.folder)
    assert "shout" in loaded.classes("augmenter")
    with pytest.raises(PluginError, match=r"other\.py cannot be loaded"):
        registry_for(given, overrides=["plugins.0=./other.py"], folder=shouting.folder)
    assert given == {"plugins": ["./mine.py"]}


def test_unmet_reads_metadata_only() -> None:
    assert unmet(["numpy>=1", "hft-core"]) == []
    with pytest.raises(ValueError, match="is no requirement"):
        unmet(["=="])


@pytest.mark.slow
def test_run_and_bundle_say_what_was_used(shouting: Any, hft_here: Callable[..., Any]) -> None:
    shouting.recipe["export"] = [{"type": "onnx"}]
    outcome = hft_here("run", shouting.write())
    assert outcome.code == 0, outcome
    run = shouting.folder / "runs" / "tiny"
    digest = hashlib.sha256(SHOUT.encode()).hexdigest()
    plugins = {entry["name"]: entry for entry in json.loads((run / "run.json").read_text("utf-8"))["plugins"]}
    assert plugins["mine"]["sha256"] == digest
    assert plugins["mine"]["file"] == str(shouting.folder / "mine.py")
    assert plugins["mine"]["used"] == ["augmenter shout"]
    assert plugins["optimizers"]["used"] == ["optimizer adam", "schedule linear"]
    assert plugins["techniques"]["used"] == []
    listed = json.loads((run / "bundle" / "bundle.json").read_text("utf-8"))["plugins"]
    assert {
        "name": "mine",
        "distribution": "file",
        "version": digest[:12],
        "sha256": digest,
        "used": ["augmenter shout"],
    } in listed
    assert all(entry["used"] for entry in listed)
    # The same recipe again, from what the run remembers of it.
    assert hft_here("export", run).code == 0


def install(folder: Path, version: str, source: str = SHOUT) -> None:
    """Install hft-shout in this version, in place of what was there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / f"hft_shout_{folder.parent.name[-6:].replace('-', '_')}.py").write_text(source, encoding="utf-8")
    module = f"hft_shout_{folder.parent.name[-6:].replace('-', '_')}"
    write_metadata(folder, {"name": "hft-shout", "version": version, "entry-points": {"hft": {"shouting": module}}})


@pytest.fixture
def shout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Give ``shout(version)``: installs that version of a plugin; None: removes it."""

    def set_version(version: str | None) -> None:
        folder = tmp_path / "site"
        if version is None:
            shutil.rmtree(folder)
            folder.mkdir()
        else:
            install(folder, version)

    (tmp_path / "site").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return set_version


def test_what_differs_is_told(tiny: Any, shout: Callable[..., None]) -> None:
    shout("1.0")
    tiny.recipe["prepare"] = {"augment": [{"type": "shout"}]}
    registry = load_registry()
    loaded = load_recipe(tiny.write(), registry)
    recorded = record(registry, used(loaded.recipe))
    assert differences(recorded, registry) == []
    shout("2.0")
    (said,) = differences(recorded, load_registry())
    assert (
        "shouting (hft-shout 1.0), which gives augmenter shout, is here as 2.0; run: pip install hft-shout==1.0" in said
    )
    assert differences(recorded, load_registry(), requires=["hft-shout>=2"]) == []
    shout(None)
    (said,) = differences(recorded, load_registry())
    assert "is missing; run: pip install hft-shout==1.0" in said


@pytest.mark.slow
def test_a_model_whose_plugin_is_missing_or_another(
    tiny: Any, shout: Callable[..., None], hft_here: Callable[..., Any]
) -> None:
    """A recipe that starts from a run is refused unless the run's plugins of model, task and objective are as they were."""
    assert hft_here("run", tiny.write()).code == 0
    note = tiny.folder / "runs" / "tiny" / "run.json"
    content = json.loads(note.read_text("utf-8"))
    gone = {
        "name": "shouting",
        "distribution": "hft-shout",
        "version": "1.0",
        "used": ["model shout", "augmenter shout"],
    }
    content["plugins"].append(gone)
    note.chmod(0o644)
    note.write_text(json.dumps(content), encoding="utf-8")
    tiny.recipe["model"] = {"type": "bert", "source": "runs/tiny"}
    outcome = hft_here("check", tiny.write("next.yaml"))
    assert outcome.code == 4
    assert "next.yaml, line " in outcome.err
    assert (
        "shouting (hft-shout 1.0), which gives model shout, is missing; run: pip install hft-shout==1.0" in outcome.err
    )
    shout("2.0")
    assert "is here as 2.0" in hft_here("check", tiny.folder / "next.yaml").err
    tiny.recipe["requires"] = ["hft-shout==2.0"]
    assert hft_here("check", tiny.write("next.yaml")).code == 0


@pytest.mark.slow
@pytest.mark.parametrize("answers", ["alike", "otherwise"])
def test_a_bundle_whose_plugin_is_another(answers: str, exported: Path, tmp_path: Path) -> None:
    """It answers its golden rows before it is used; only one that answers otherwise is refused, with the versions."""
    from hft_core.runtime import load, manifest

    bundle = Path(shutil.copytree(exported, tmp_path / "bundle"))
    for file in bundle.rglob("*"):
        file.chmod(0o755)
    description = json.loads((bundle / "bundle.json").read_text("utf-8"))
    description["requires"] = {"click": "0.1"}
    (bundle / "bundle.json").write_text(json.dumps(description), encoding="utf-8")
    if answers == "otherwise":
        golden = (bundle / "golden.jsonl").read_text("utf-8")
        (bundle / "golden.jsonl").write_text(golden.replace('"score": 0.', '"score": 0.9'), encoding="utf-8")
    manifest.write(bundle)
    if answers == "alike":
        assert load(bundle).predict(["a good film"])
        return
    with pytest.raises(
        PluginError, match=r"here is click .* instead of 0\.1, which predicts otherwise .*pip install click==0\.1"
    ):
        load(bundle)


def test_lock(shouting: Any, hft_here: Callable[..., Any]) -> None:
    recipe = shouting.write()
    outcome = hft_here("check", recipe, "--locked")
    assert outcome.code == 2
    assert f"--locked: there is no {recipe.with_suffix('.lock')}; run: hft lock {recipe}" in outcome.err
    outcome = hft_here("lock", recipe)
    assert outcome.code == 0, outcome
    assert "next: hft run" in outcome.out
    lock = recipe.with_suffix(".lock")
    content = json.loads(lock.read_text("utf-8"))
    assert content["packages"]["hft-core"]
    assert content["packages"]["numpy"]
    assert {entry["name"] for entry in content["plugins"]} > {"mine", "readers", "transformers"}
    assert hft_here("check", recipe, "--locked").code == 0

    content["packages"]["numpy"] = "0.1"
    lock.write_text(json.dumps(content), encoding="utf-8")
    (shouting.folder / "mine.py").write_text(SHOUT + "# edited", encoding="utf-8")
    for command in ("check", "plan", "run"):
        outcome = hft_here(command, recipe, "--locked")
        assert outcome.code == 4, outcome
        assert "--locked: numpy 0.1 is locked, " in outcome.err
        assert "--locked: the plugin file mine is another one" in outcome.err
        assert "--locked: run: pip install numpy==0.1" in outcome.err
        assert f"hft lock {recipe}" in outcome.err
    assert hft_here("check", recipe).code == 0  # a lock binds only who asks for it
    lock.write_text("{", encoding="utf-8")
    assert "is damaged" in hft_here("check", recipe, "--locked").err
    lock.write_text("[]", encoding="utf-8")
    assert "is no lock" in hft_here("check", recipe, "--locked").err


def test_a_lock_holds_what_the_engine_counts() -> None:
    """Every package that is a part of some key."""
    counted = {package for _, packages in nodes._RUNS.values() for package in packages}
    assert counted - {"python"} <= set(PACKAGES)


def test_a_recipe_that_cannot_be_read_is_refused_as_ever(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="there is no recipe"):
        registry_for(tmp_path / "none.yaml")
