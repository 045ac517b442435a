"""Unknown components, and plugins that break or clash: who, why, and what to do; the others go on working."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ..plugin_files import SHOUT


@pytest.fixture
def plugin(tiny: Any) -> Callable[..., Path]:
    """Write a plugin file, by default one that works, and use its component in the recipe."""

    def write(source: str = SHOUT, name: str = "mine.py", use: bool = True) -> Path:
        if use:
            tiny.recipe["prepare"] = {"augment": [{"type": "shout"}]}
        file: Path = tiny.folder / name
        file.write_text(source, encoding="utf-8")
        return file

    return write


@pytest.mark.parametrize(
    ("place", "given", "said"),
    [
        (
            ("data", "train"),
            "cvs",
            "there is no reader 'cvs'; did you mean 'csv'? Installed: conll, csv, dataset, jsonl, parallel, parquet, sql, squad, "
            "text.",
        ),
        (("task",), "text-clasification", "task: there is no task 'text-clasification'; did you mean 'text-classif"),
        (("model",), "brt", "model: there is no model 'brt'; did you mean 'bert'?"),
        (("stages", 0, "objectives", 0), "tusk", "there is no objective 'tusk'; did you mean 'task'?"),
        (("stages", 0, "optimizer"), "adm", "there is no optimizer 'adm'; did you mean 'adam'?"),
        (("stages", 0, "schedule"), "linar", "there is no schedule 'linar'; did you mean 'linear'?"),
        (("export", 0), "quantum", "there is no exporter 'quantum'. Installed: onnx."),
    ],
)  # fmt: skip
def test_an_unknown_component(
    place: Any, given: str, said: str, tiny: Any, hft_here: Callable[..., Any], refused: Callable[..., None]
) -> None:
    tiny.recipe["export"] = [{"type": "onnx"}]
    tiny.recipe["stages"][0]["schedule"] = {"type": "linear"}
    entry = tiny.recipe
    for step in place:
        entry = entry[step]
    entry["type"] = given
    outcome = hft_here("check", tiny.write(), HFT_ALLOWED_PLUGINS="hft-core")  # whatever else is installed
    refused(outcome, "recipe", "line ", said)


def test_a_plugin_file_that_works(tiny: Any, plugin: Callable[..., Path], hft_here: Callable[..., Any]) -> None:
    outcome = hft_here("check", tiny.write(), "--plugin", plugin())
    plugin(use=True)
    assert hft_here("check", tiny.write(), "--plugin", plugin()).code == 0, outcome


BROKEN = [
    pytest.param(SHOUT + "import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'", id="import"),
    pytest.param(SHOUT + "def (", "SyntaxError", id="syntax"),
    pytest.param(SHOUT + "raise ValueError('my\\n reason')", "ValueError: my reason", id="raise"),
    pytest.param(SHOUT + "import sys; sys.exit(3)", "SystemExit: 3", id="exit"),
]


@pytest.mark.parametrize(("source", "reason"), BROKEN)
def test_a_plugin_that_raises_on_import(
    source: str,
    reason: str,
    tiny: Any,
    plugin: Callable[..., Path],
    hft_here: Callable[..., Any],
    refused: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As an installed distribution; and as a file that is named on purpose."""
    file = plugin(source)
    metadata = file.parent / "hft_mine-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: hft-mine\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[hft]\nmine = mine\n")
    with monkeypatch.context() as context:
        context.syspath_prepend(str(file.parent))
        outcome = hft_here("check", tiny.write())
        refused(outcome, "recipe", "there is no augmenter 'shout'.", "Not loaded: mine (hft-mine 1.0)", reason)
        assert outcome.err.count("warning: plugin mine") == 1
        # A recipe that does not need it works, with the one warning; strict is strict.
        del tiny.recipe["prepare"]
        outcome = hft_here("check", tiny.write())
        assert outcome.code == 0
        assert outcome.err.count(f"was not loaded: {reason}") == 1
        refused(hft_here("check", tiny.write(), HFT_STRICT="1"), "plugin", "mine (hft-mine 1.0)", reason)
        # The list of plugins never fails.
        outcome = hft_here("plugins", "--plugin", file, HFT_STRICT="1")
        assert outcome.code == 0
        assert outcome.out.count(f"not loaded: {reason}") == 2
    refused(hft_here("check", tiny.write(), "--plugin", file), "plugin", f"--plugin {file} cannot be loaded", reason)


def test_two_plugins_that_offer_one_type(
    tiny: Any, plugin: Callable[..., Path], hft_here: Callable[..., Any], refused: Callable[..., None]
) -> None:
    one, two = plugin(), plugin(SHOUT + "\n# the other", name="yours.py")
    both = ("--plugin", one, "--plugin", two)
    outcome = hft_here("check", tiny.write(), *both)
    refused(outcome, "recipe", "augmenter 'shout' is offered by 2 plugins, mine (file", "yours (file")
    assert "disable one: leave out --plugin mine.py, or leave out --plugin yours.py" in outcome.err
    assert "shout (offered twice: unusable)" in hft_here("plugins", *both).out
    del tiny.recipe["prepare"]
    assert hft_here("check", tiny.write(), *both).code == 0  # nobody asks for it


def test_a_plugin_that_offers_a_built_in_type(
    tiny: Any, plugin: Callable[..., Path], hft_here: Callable[..., Any], refused: Callable[..., None]
) -> None:
    file = plugin(SHOUT.replace('Literal["shout"]', 'Literal["synonyms"]'), use=False)
    tiny.recipe["prepare"] = {"augment": [{"type": "synonyms"}]}
    recipe = tiny.write()
    outcome = hft_here("check", recipe, "--plugin", file)
    refused(
        outcome,
        "recipe",
        "augmenters (hft-core",
        "mine (file",
        "disable one: HFT_DISABLED_PLUGINS=augmenters, or leave out",
    )
    assert hft_here("check", recipe, "--plugin", file, HFT_DISABLED_PLUGINS="augmenters").code == 0
    assert hft_here("check", recipe).code == 0


def test_the_same_file_twice_is_one_plugin(
    tiny: Any, plugin: Callable[..., Path], hft_here: Callable[..., Any]
) -> None:
    file = plugin()
    assert hft_here("check", tiny.write(), "--plugin", file, "--plugin", "project/mine.py").code == 0


def test_what_is_disabled_is_named(tiny: Any, hft_here: Callable[..., Any], refused: Callable[..., None]) -> None:
    recipe = tiny.write()
    outcome = hft_here("check", recipe, HFT_DISABLED_PLUGINS="optimizers")
    refused(
        outcome,
        "recipe",
        "there is no optimizer 'adam'. Installed: none. Disabled by HFT_DISABLED_PLUGINS: optimizers.",
    )
    outcome = hft_here("check", recipe, HFT_ALLOWED_PLUGINS="readers")
    refused(outcome, "recipe", "Disabled by HFT_ALLOWED_PLUGINS: augmenters, cleaners, ")
    outcome = hft_here("check", recipe, HFT_DISABLED_PLUGINS="metrics")
    refused(outcome, "recipe", "evaluate.metrics: there is no metric 'accuracy'")
    assert "warning" not in outcome.err  # it was done on purpose


@pytest.mark.parametrize("given", ["nowhere.py", "."])
def test_no_such_plugin_file(
    given: str, tiny: Any, hft_here: Callable[..., Any], refused: Callable[..., None], tmp_path: Path
) -> None:
    refused(
        hft_here("check", tiny.write(), "--plugin", given),
        "plugin",
        f"--plugin {(tmp_path / given).absolute()} cannot be loaded: there is no such file",
    )


def test_the_entry_points_module_is_not_searched_in_the_working_folder(
    tiny: Any, hft: Callable[..., Any], plugin: Callable[..., Path]
) -> None:
    """Files beside the recipe are not imported unless they are named (`python -m` alone would look there first)."""
    plugin("raise SystemExit('imported')", name="hft_plugins.py", use=False)
    plugin("raise SystemExit('imported')", name="conftest.py", use=False)
    outcome = hft("check", tiny.write(), cwd=tiny.folder, PYTHONSAFEPATH="1")
    assert outcome.code == 0, outcome
