"""The documentation is carried out, and it is complete: commands, hooks, kinds, components, exit codes, links."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import click
import pytest

from hft_core import errors
from hft_core.cli.main import _COMMANDS, cli
from hft_core.components import KINDS, Component
from hft_core.recipe import load_recipe
from hft_core.recipe.yaml import parse_yaml
from hft_core.registry import load_registry
from hft_core.registry.loader import _HOOKS

from ..loading import module_at

pages = module_at(Path(__file__).with_name("pages.py"))
ROOT = pages.ROOT
DOCS = ROOT / "docs"
TUTORIAL = DOCS / "tutorial.md"


def _continues(page: Path) -> bool:
    return page != TUTORIAL and pages.CONTINUES.search(page.read_text("utf-8")) is not None


def _trains(page: Path) -> bool:
    trains = re.compile(r"\bhft (?:run|tune|search|ablate) ")
    return _continues(page) or any(block.runs and trains.search(block.text) for block in pages.blocks(page))


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


RUNNING = [
    pytest.param(page, id=_name(page), marks=pytest.mark.slow if _trains(page) else ())
    for page in pages.pages()
    if page != TUTORIAL and any(block.runs for block in pages.blocks(page))
]


@pytest.fixture(scope="session")
def tutorial(tmp_path_factory) -> Path:
    """The folder that the tutorial leaves behind; pages that continue it go on there, as a reader would."""
    folder = tmp_path_factory.mktemp("tutorial")
    pages.carry_out(TUTORIAL, folder)
    return folder


@pytest.mark.slow
def test_tutorial_does_what_it_says(tutorial):
    assert (tutorial / "runs" / "reviews" / "bundle" / "bundle.json").is_file()


@pytest.mark.parametrize("page", RUNNING)
def test_page_does_what_it_says(page, tmp_path, request):
    pages.carry_out(page, request.getfixturevalue("tutorial") if _continues(page) else tmp_path)


@pytest.mark.parametrize("page", pages.pages(), ids=_name)
def test_every_block_that_is_not_run_says_why(page):
    for block in pages.blocks(page):
        if block.language in ("bash", "python") and not block.runs and not block.file:
            assert len(block.before) > len(pages.NOT_RUN) + 10, f"{_name(page)}, line {block.line}: no reason is given"
        if block.language == "sh":
            raise AssertionError(f"{_name(page)}, line {block.line}: write `bash`, so that the block is run")


@pytest.mark.parametrize("page", pages.pages(), ids=_name)
def test_yaml_blocks_are_yaml(page):
    for block in pages.blocks(page):
        if block.language == "yaml":
            parse_yaml(block.text, f"{_name(page)}, line {block.line}")


@pytest.mark.parametrize("page", pages.pages(), ids=_name)
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        file, _, anchor = target.partition("#")
        if file.startswith(("http://", "https://")):
            continue
        place = page.parent / file if file else page
        assert place.exists(), f"{_name(page)} links to {target}, which does not exist"
        if anchor:
            assert anchor in _anchors(place), f"{_name(page)} links to {target}, a heading that does not exist"


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w-]", "", heading.lower().replace(" ", "-")) for heading in headings}


def _all() -> str:
    return "\n".join(page.read_text("utf-8") for page in pages.pages())


@pytest.mark.parametrize("command", _COMMANDS)
def test_every_command_is_documented(command):
    assert re.search(rf"\bhft {command}\b", _all()), f"no page mentions `hft {command}`"


def test_every_subcommand_and_option_of_plugins_is_documented():
    """Of the commands that have others below them, and of the options by which plugins are chosen and held."""
    pages_text = _all()
    for name in _COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        for below in getattr(command, "commands", ()):
            assert re.search(rf"\bhft {name} {below}\b", pages_text), f"no page mentions `hft {name} {below}`"
    for option in ("--plugin", "--disable", "--locked", "--set"):
        assert f"`{option}" in pages_text or f" {option} " in pages_text, f"no page mentions {option}"


@pytest.mark.parametrize("hook", _HOOKS)
def test_every_hook_is_documented(hook):
    assert f"`{hook}`" in (DOCS / "plugins.md").read_text("utf-8")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_documented(kind):
    assert f"### {kind.capitalize()}s\n" in (DOCS / "recipe.md").read_text("utf-8")


def test_every_exit_code_is_documented():
    page = (DOCS / "exit-codes.md").read_text("utf-8")
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    families = [item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, errors.HftError)]
    assert codes >= {family.exit_code for family in families}
    for family in families:
        assert f"| {family.exit_code} | `{family.__name__}`" in page, f"{family.__name__} is not in docs/exit-codes.md"


def test_recipe_reference_is_what_the_code_says():
    reference = module_at(DOCS / "reference.py")
    assert reference.PAGE.read_text("utf-8") == reference.page(), "run `python docs/reference.py`"


def test_contract_is_what_the_code_says():
    contract = module_at(DOCS / "contract.py")
    assert contract.PAGE.read_text("utf-8") == contract.page(), "run `python docs/contract.py`"


@pytest.mark.parametrize("kind", KINDS)
def test_page_of_a_kind_is_what_the_code_says(kind):
    contract = module_at(DOCS / "contract.py")
    page = contract.KIND_PAGES / f"{kind}.md"
    assert page.read_text("utf-8") == contract.kind_page(kind), "run `python docs/contract.py`"
    assert f"`register_{kind}s`" in page.read_text("utf-8")


def _shown_in_contract():
    contract = module_at(DOCS / "contract.py")
    return [
        pytest.param(cls, page, id=cls.__name__) for page, classes in contract.sections().items() for cls in classes
    ]


@pytest.mark.parametrize(("cls", "page"), _shown_in_contract())
def test_contract_explains_every_field(cls, page):
    """Fields of dataclasses, settings, class variables and protocols' attributes: each has its row, and a docstring."""
    section = (DOCS / page).read_text("utf-8").partition(f"\n`{cls.__name__}`: ")[2]
    rows = section.partition("\n\n`")[0].partition("\n### ")[0]
    own_word = issubclass(cls, Component) and cls is not Component  # `kind` is explained once
    for name in inspect.get_annotations(cls):
        if not name.startswith("_") and not (name == "kind" and own_word):
            name = name.rstrip("_")  # a setting that is called like a word of Python
            assert re.search(rf"^\| `{name}: [^\n]+` (\(setting\) )?\| \S", rows, re.MULTILINE), (
                f"{cls.__name__}.{name}"
            )


def test_recipe_reference_has_every_component():
    page = (DOCS / "recipe.md").read_text("utf-8")
    registry = load_registry()
    for plugin in registry.plugins:
        if plugin.distribution == "hft-core":
            for component in plugin.components:
                assert f"\n#### `{component.type_name()}`\n" in page


def test_readme_map_names_every_folder():
    readme = (ROOT / "README.md").read_text("utf-8")
    for package in ("hft_core", "plugins/hft_plugins"):
        for folder in sorted((ROOT / package).iterdir()):
            if (folder / "__init__.py").is_file():
                assert f"`{folder.name}/`" in readme, f"the map of the code lacks {package}/{folder.name}"


def test_readme_recipe_is_valid(tmp_path):
    """The recipe that the README shows is the real thing: only its files are missing here."""
    shown = next(block for block in pages.blocks(ROOT / "README.md") if block.language == "yaml")
    for name in re.findall(r"path: ([\w./-]+)", shown.text):
        (tmp_path / name).write_text(f"text,label\n{name},a\n", encoding="utf-8")
    (tmp_path / "recipe.yaml").write_text(shown.text, encoding="utf-8")
    assert load_recipe(tmp_path / "recipe.yaml", load_registry()).recipe.name


def test_output_is_compared_and_not_only_shown():
    assert pages.shows("a …\nc", "x\na 12\nb\nc d")
    assert not pages.shows("a …\nc", "a 12\nb")
    assert not pages.shows("0.5", "0.4")
