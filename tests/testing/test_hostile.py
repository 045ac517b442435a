"""Hostile and broken plugins: each is caught and named, the others go on working, and what is disabled is not imported."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hft_core import PluginError
from hft_core.testing import checks_of

from ..loading import module_at
from .conftest import write_metadata

hostile = module_at(Path(__file__).with_name("hostile.py"))
PAGE = Path(__file__).parents[2] / "docs" / "plugins.md"
Install = Callable[[str, Any], str]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Give ``install(case, plugin)``: the plugin's name. Its module leaves a mark when it is imported."""

    def write(case: str, plugin: Any) -> str:
        name = re.sub(r"\W+", "-", case)
        module = f"hft_bad_{name.replace('-', '_')}_{tmp_path.name[-2:].replace('-', '_')}"
        folder = tmp_path / "site" / name
        folder.mkdir(parents=True)
        mark = f"import pathlib\npathlib.Path({str(tmp_path / f'{name}.imported')!r}).touch()\n"
        source = plugin.source.replace("NAME", name)
        (folder / f"{module}.py").write_text(mark + source, encoding="utf-8")
        entry = plugin.entry.replace("MODULE", module) or module
        project = {
            "name": f"hft-{name}", "version": "1.2", "dependencies": plugin.dependencies, "entry-points": {"hft": {name: entry}},
        }  # fmt: skip
        write_metadata(folder, project)
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
        return name

    return write


@pytest.mark.parametrize("case", hostile.LISTED)
def test_what_the_list_of_plugins_tells(
    case: str, install: Install, hft_here: Callable[..., Any], tiny: Any, tmp_path: Path
) -> None:
    plugin = hostile.LISTED[case]
    name = install(case, plugin)
    limit = {"HFT_PLUGIN_TIMEOUT": "0.5"} if "hangs" in case else {}
    outcome = hft_here("plugins", **limit)
    assert outcome.code == 0, outcome
    own = outcome.out.partition(f"{name}  hft-{name} 1.2\n")[2].partition("\n\n")[0]
    said = (
        re.sub(r"MODULE", "hft_bad_.*", re.escape(plugin.said)) if "MODULE" in plugin.said else re.escape(plugin.said)
    )
    assert re.search(said, own), own
    assert "readers  hft-core" in outcome.out  # all others are there
    rows = json.loads(hft_here("plugins", "--json", **limit).out)  # what it prints does not stand between
    assert [row["distribution"] for row in rows].count(f"hft-{name}") == 1

    recipe = tiny.write()  # a recipe that does not need it works, with one warning where it is not loaded
    outcome = hft_here("check", recipe, **limit)
    assert outcome.code == 0, outcome
    assert outcome.err.count(f"warning: plugin {name} (hft-{name} 1.2)") == ("not loaded" in own)

    if case == "needs a newer core":
        assert not (tmp_path / f"{name}.imported").exists()


@pytest.mark.parametrize("how", ["HFT_DISABLED_PLUGINS", "HFT_ALLOWED_PLUGINS", "--disable", "recipe"])
def test_what_is_disabled_is_not_imported(
    how: str, install: Install, hft: Callable[..., Any], tiny: Any, tmp_path: Path
) -> None:
    """Its import would end the process."""
    name = install("ends the process", hostile.ENDS["ends the process on import"])
    if how == "recipe":
        tiny.recipe["disable"] = [f"hft-{name}"]
    environment = {"HFT_DISABLED_PLUGINS": name, "HFT_ALLOWED_PLUGINS": "hft-core"}.get(how)
    options = ["--disable", name] if how == "--disable" else []
    given = {how: environment} if environment else {}
    outcome = hft("check", tiny.write(), *options, PYTHONPATH=os.environ["PYTHONPATH"], **given)
    assert outcome.code == 0, outcome
    assert "warning" not in outcome.err
    assert not (tmp_path / f"{name}.imported").exists()


@pytest.mark.parametrize("case", hostile.CHECKED)
def test_what_a_check_finds(case: str, install: Install) -> None:
    """The check that is there for it fails, and says why."""
    plugin = hostile.CHECKED[case]
    name = install(case, plugin)
    (check,) = [check for check in checks_of(name) if check.id.split(":")[-1] == plugin.said]
    with pytest.raises((AssertionError, RuntimeError, ValueError)) as failed:
        check()
    assert str(failed.value)


@pytest.mark.slow
@pytest.mark.parametrize("case", hostile.ENDS)
def test_what_only_a_process_of_its_own_survives(case: str, install: Install, hft: Callable[..., Any]) -> None:
    plugin = hostile.ENDS[case]
    name = install(case, plugin)
    outcome = hft("plugins", "check", name, "--timeout", "20", PYTHONPATH=os.environ["PYTHONPATH"])
    assert outcome.code == 4, outcome
    assert plugin.said in outcome.err
    assert f"plugin {name}" in outcome.err


@pytest.mark.slow
@pytest.mark.parametrize("case", hostile.RUN)
def test_what_a_run_finds(case: str, install: Install, hft_here: Callable[..., Any], tiny: Any) -> None:
    plugin = hostile.RUN[case]
    name = install(case, plugin)
    if "build" in case:
        tiny.recipe["model"] = {"type": f"{name}-model"}
    else:
        tiny.recipe["prepare"] = {"augment": [{"type": name}]}
    outcome = hft_here("run", tiny.write())
    assert outcome.code == 4, outcome
    assert plugin.said in outcome.err
    assert name in outcome.err
    assert "Traceback" not in outcome.err


def test_one_name_in_two_distributions(
    install: Install, hft_here: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither is skipped; each can be disabled by its distribution."""
    name = install("good one", hostile.Plugin(hostile.HEAD, ""))
    folder = tmp_path / "site" / "second"
    folder.mkdir()
    module = f"hft_bad_second_{tmp_path.name[-2:].replace('-', '_')}"
    (folder / f"{module}.py").write_text(hostile.HEAD.replace("NAME", "other"), encoding="utf-8")
    write_metadata(folder, {"name": "hft-second", "version": "2", "entry-points": {"hft": {name: module}}})
    monkeypatch.syspath_prepend(str(folder))
    out = hft_here("plugins").out
    assert f"{name}  hft-{name} 1.2" in out
    assert f"{name}  hft-second 2" in out
    assert "hft-second 2\n    not loaded: disabled by --disable" in hft_here("plugins", "--disable", "hft-second").out
    with pytest.raises(PluginError, match=f"'{name}' are several plugins"):
        checks_of(name)


def test_a_component_within_itself_is_no_harm(install: Install, hft_here: Callable[..., Any], tiny: Any) -> None:
    """A recursive model is validated, and gives a schema, at every depth."""
    source = hostile._field('inner: "Component | None" = None\n    """One within."""')
    name = install("within itself", hostile.Plugin(source, ""))
    tiny.recipe["prepare"] = {"augment": [{"type": name, "inner": {"type": name, "inner": {"type": name}}}]}
    assert hft_here("check", tiny.write()).code == 0
    assert hft_here("schema").code == 0
    tiny.recipe["prepare"]["augment"][0]["inner"]["inner"]["inne"] = 1
    outcome = hft_here("check", tiny.write())
    assert outcome.code == 2
    assert "unknown key 'inne'" in outcome.err


def test_the_page_has_the_table() -> None:
    """docs/plugins.md names every one of them, beside the command that catches it."""
    page = PAGE.read_text("utf-8")
    for cases, command in (
        (hostile.LISTED, "hft plugins"), (hostile.CHECKED, "hft plugins check"), (hostile.ENDS, "hft plugins check"),
        (hostile.RUN, "hft run"),
    ):  # fmt: skip
        for case, plugin in cases.items():
            row = next((line for line in page.splitlines() if line.startswith(f"| {case} |")), "")
            assert f"| `{command}` |" in row, f"docs/plugins.md lacks `| {case} | `{command}` |`"
            if cases is hostile.CHECKED:
                assert f"`{plugin.said}`" in row
