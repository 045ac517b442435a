"""Finding plugins: what is disabled is not imported, what is broken is filed with its reason, what clashes is unusable."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hft_core import PluginError
from hft_core.components import KINDS
from hft_core.recipe.load import load_recipe
from hft_core.registry import Plugin, Registry, load_registry

SHOUT = '''
from typing import Literal
from hft_core import Augmenter, Edit, hookimpl

class Shout(Augmenter):
    """Upper-case every text.

    At length."""
    type: Literal["shout"]

    def edits(self, texts, spans, random):
        return [[Edit(0, len(text), text.upper())] for text in texts]

@hookimpl
def register_augmenters():
    return [Shout]
'''


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Install a distribution with one plugin module, as pip would; gives the module's name."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)

    def write(source: str, distribution: str, entry: str = "shouting") -> str:
        module = f"plugin_{tmp_path.name}_{distribution}".replace("-", "_")
        (site / f"{module}.py").write_text(source, encoding="utf-8")
        info = site / f"{distribution.replace('-', '_')}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n", encoding="utf-8")
        (info / "entry_points.txt").write_text(f"[hft]\n{entry} = {module}\n", encoding="utf-8")
        return module

    return write


@pytest.fixture
def from_file(tmp_path: Path) -> Callable[..., Plugin]:
    """Load a plugin from a file of its own; gives what became of it."""

    def load(source: str, name: str = "mine.py") -> Plugin:
        file = tmp_path / name
        file.write_text(source, encoding="utf-8")
        return load_registry([file], strict=False).plugins[-1]

    return load


def of(registry: Registry, distribution: str) -> Plugin:
    return next(plugin for plugin in registry.plugins if plugin.distribution == distribution)


def test_the_built_in_plugins_come_through_the_same_door() -> None:
    registry = load_registry()
    assert not [plugin for plugin in registry.plugins if plugin.problem and plugin.distribution == "hft-core"]
    found = {kind: set(registry.classes(kind)) for kind in KINDS}
    assert {"csv", "jsonl", "text"} <= found["reader"]
    assert found["cleaner"] >= {
        "mojibake", "unicode", "html", "links", "personal-data", "width", "chinese-script", "whitespace", "header-rows",
        "exact-duplicates", "near-duplicates", "length", "language", "repetition", "symbols", "label-noise",
    }  # fmt: skip
    assert {"synonyms", "random-swap", "random-delete"} <= found["augmenter"]
    assert {"text-classification", "token-classification", "text-generation", "text-to-text", "chat"} <= found["task"]
    assert {"question-answering", "sentence-embedding", "sentence-similarity"} <= found["task"]
    assert {"multi-label-classification", "regression"} <= found["task"]
    assert {"multi-label", "regression"} <= found["objective"]
    assert {"bert", "gpt", "t5"} <= found["model"]
    assert {"classification", "masked-lm", "causal-lm", "span-corruption", "seq2seq", "answer-span"} <= found[
        "objective"
    ]
    assert {"in-batch-negatives", "cosent", "cosine-mse"} <= found["objective"]
    assert {"bleu", "rouge"} <= found["metric"]
    assert {"sgd", "adam", "adamw"} <= found["optimizer"]
    assert {"linear", "cosine", "constant"} <= found["schedule"]
    assert {"accuracy", "precision", "recall", "f1", "confusion", "perplexity", "chrf", "exact-match"} <= found[
        "metric"
    ]
    assert {"onnx"} <= found["exporter"]
    assert all(component.summary() for plugin in registry.plugins for component in plugin.components)


def test_an_installed_plugin_is_found(install: Callable[..., str]) -> None:
    module = install(SHOUT, "hft-shout")
    registry = load_registry()
    plugin = of(registry, "hft-shout")
    assert (plugin.name, plugin.version, plugin.problem) == ("shouting", "1.2", "")
    shout = registry.classes("augmenter")["shout"]
    assert (shout.__module__, shout.type_name(), shout.summary()) == (module, "shout", "Upper-case every text.")
    assert registry.plugin_of(shout) is plugin
    assert plugin.source is not None
    assert plugin.source.name == f"{module}.py"


@pytest.mark.parametrize("variable", ["HFT_DISABLED_PLUGINS", "HFT_ALLOWED_PLUGINS"])
@pytest.mark.parametrize("by", ["plugin", "distribution"])
def test_what_is_disabled_is_not_imported(
    variable: str, by: str, install: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = install(SHOUT + "\nraise SystemExit('imported')", "hft-shout")
    others = "readers, metrics"
    named = {"plugin": "shouting", "distribution": "hft-shout"}[by]
    monkeypatch.setenv(variable, f" x, {named} ," if variable == "HFT_DISABLED_PLUGINS" else others)
    registry = load_registry(strict=True)  # disabled is no problem, even if strict
    assert of(registry, "hft-shout").problem == f"disabled by {variable}"
    assert of(registry, "hft-shout").disabled
    assert module not in sys.modules
    assert "csv" in registry.classes("reader")
    if variable == "HFT_ALLOWED_PLUGINS":
        monkeypatch.setenv(variable, f"{others}, {named}")
        assert of(load_registry(strict=False), "hft-shout").problem == "SystemExit: imported"


def test_one_name_in_two_distributions_is_two_plugins(
    install: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """pluggy's own loader would skip the second without a word."""
    install(SHOUT, "hft-shout")
    install(SHOUT, "hft-other")
    registry = load_registry()
    assert [plugin.distribution for plugin in registry.plugins if plugin.name == "shouting"] == [
        "hft-other",
        "hft-shout",
    ]
    assert "shout" not in registry.classes("augmenter")
    said = registry.explain_missing("augmenter", "shout")
    assert "offered by 2 plugins, shouting (hft-other 1.2) and shouting (hft-shout 1.2)" in said
    assert "HFT_DISABLED_PLUGINS=hft-other, or HFT_DISABLED_PLUGINS=hft-shout" in said
    monkeypatch.setenv("HFT_DISABLED_PLUGINS", "hft-other")
    assert "shout" in load_registry().classes("augmenter")


def test_a_broken_one_keeps_nobody_from_working(install: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    install("import no_such_module", "hft-broken")
    registry = load_registry()
    assert of(registry, "hft-broken").problem == "ModuleNotFoundError: No module named 'no_such_module'"
    assert "csv" in registry.classes("reader")
    assert "Not loaded: shouting (hft-broken 1.2): ModuleNotFoundError" in registry.explain_missing("reader", "parquet")
    monkeypatch.setenv("HFT_STRICT", "1")
    with pytest.raises(PluginError, match=r"plugin shouting \(hft-broken 1.2\) cannot be loaded: ModuleNotFoundError"):
        load_registry()
    assert load_registry(strict=False).plugins


# A field whose type pydantic cannot check, and one whose type there is not.
ODD = SHOUT.replace('type: Literal["shout"]', 'type: Literal["shout"]\n    thing: Thing | None = None')
UNTYPED = ODD.replace("class Shout", "class Thing:\n    pass\n\n\nclass Shout", 1)


def test_a_field_of_no_type_is_the_plugins_fault_and_no_recipes(install: Callable[..., str], tiny: Any) -> None:
    install(UNTYPED, "hft-odd")
    registry = load_registry()
    assert "Unable to generate pydantic-core schema for" in of(registry, "hft-odd").problem
    assert load_recipe(tiny.write(), registry).recipe.name == "tiny"


REFUSED = [
    pytest.param("a class in a field", UNTYPED, "Unable to generate pydantic-core schema for <class"),
    pytest.param("no class in a field", "from __future__ import annotations\n" + ODD, "name 'Thing' is not defined"),
    pytest.param("sys.exit", SHOUT + "import sys\nsys.exit(2)", "SystemExit: 2"),
    pytest.param("hook", SHOUT.replace("augmenters()", "augmenter()"), "no hook register_augmenter; did you mean register_augm"),
    pytest.param("None", SHOUT.replace("return [Shout]", "pass"), "register_augmenters() returned NoneType, not a list"),
    pytest.param("a class", SHOUT.replace("return [Shout]", "return Shout"), "not a list of classes"),
    pytest.param("a generator", SHOUT.replace("return [Shout]", "yield Shout"), "returned generator, not a list of classes"),
    pytest.param("an instance", SHOUT.replace("[Shout]", "[Shout(type='shout')]"), "which is not a subclass of Augmenter"),
    pytest.param("kind", SHOUT.replace("register_augmenters", "register_readers"), "which is not a subclass of Reader"),
    pytest.param("abstract", SHOUT.replace("def edits", "def edit"), "Shout lacks edits"),
    pytest.param("twice", SHOUT.replace("[Shout]", "[Shout, Shout]"), "it offers 2 classes for the augmenter 'shout'"),
    pytest.param("no type", SHOUT.replace('type: Literal["shout"]', ""), 'does not declare `type: Literal["its-name"]`'),
    pytest.param("default", SHOUT.replace('["shout"]', '["shout"] = "shout"'), "`type` must not have a default"),
    pytest.param("two types", SHOUT.replace('["shout"]', '["shout", "cry"]'), 'declare `type: Literal["one-name"]`'),
    pytest.param("an argument", SHOUT.replace("augmenters():", "augmenters(config):"), "Argument(s) {'config'}"),
    pytest.param("raises", SHOUT.replace("return [Shout]", "raise KeyError('x')"), "KeyError: 'x'"),
    pytest.param(
        "class variable",
        "from typing import Literal\nfrom hft_core import Metric, hookimpl\n"
        'class M(Metric):\n    type: Literal["m"]\n    def rows(self, p, t, f): ...\n    def value(self, s, f): ...\n'
        "@hookimpl\ndef register_metrics():\n    return [M]\n",
        "M lacks needs",
    ),
    pytest.param(
        "reserved",
        "from typing import Literal\nfrom hft_core import Objective, hookimpl\n"
        'class M(Objective):\n    type: Literal["task"]\n    def count(self, b): ...\n    def loss(self, n, b): ...\n'
        "@hookimpl\ndef register_objectives():\n    return [M]\n",
        "the type 'task' stands for the task's own objective",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("case", "source", "reason"), REFUSED, ids=[str(case.values[0]) for case in REFUSED])
def test_a_plugin_that_breaks_the_rules(case: str, source: str, reason: str, from_file: Callable[..., Plugin]) -> None:
    plugin = from_file(source)
    assert reason in plugin.problem
    assert "\n" not in plugin.problem
    assert plugin.components == []


def test_a_plugin_that_is_interrupted_interrupts(from_file: Callable[..., Plugin]) -> None:
    with pytest.raises(KeyboardInterrupt):
        from_file("raise KeyboardInterrupt")


def test_an_edited_file_is_another_version(from_file: Callable[..., Plugin], tmp_path: Path) -> None:
    first = from_file(SHOUT)
    again = from_file(SHOUT)
    edited = from_file(SHOUT.replace("text.upper()", "text.title()"))
    assert first.version == again.version != edited.version
    assert first.components == again.components  # the same module
    assert first.components[0] is not edited.components[0]
    assert (first.distribution, first.name, first.source) == ("file", "mine", tmp_path / "mine.py")


def test_an_edited_file_gives_another_key(tiny: Any, from_file: Callable[..., Plugin], tmp_path: Path) -> None:
    from hft_core.pipeline.plan import build_plan
    from hft_core.recipe import load_recipe

    tiny.recipe["prepare"] = {"augment": [{"type": "shout"}]}
    keys = []
    for source in (SHOUT, SHOUT, SHOUT + "# edited"):
        (tmp_path / "mine.py").write_text(source, encoding="utf-8")
        registry = load_registry([tmp_path / "mine.py"])
        plan = build_plan(load_recipe(tiny.write(), registry), registry)
        keys.append(plan.tasks["main"].augment.key)
    assert keys[0] == keys[1] != keys[2]


def test_the_same_file_is_loaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(SHOUT, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    registry = load_registry([Path("mine.py"), tmp_path / "mine.py"])
    assert "shout" in registry.classes("augmenter")


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"none\.py cannot be loaded: there is no such file"):
        load_registry([tmp_path / "none.py"])


def test_a_package_is_hashed_whole_and_a_module_alone() -> None:
    registry = load_registry()
    sources = {plugin.name: plugin.source for plugin in registry.plugins}
    assert sources["readers"] is not None
    assert sources["readers"].is_dir()
    assert sources["readers"].name == "readers"


def test_a_missing_type_is_explained() -> None:
    said = load_registry().explain_missing("optimizer", "adm")
    assert said == "there is no optimizer 'adm'; did you mean 'adam'? Installed: adam, adamw, lion, muon, sgd."
    assert (
        load_registry()
        .explain_missing("objective", "tsak", ["task"])
        .startswith("there is no objective 'tsak'; did you mean 'task'?")
    )


def test_what_holds_standard_output_from_its_import_on_writes_to_it_later(
    from_file: Callable[..., Plugin], capsys: pytest.CaptureFixture[str]
) -> None:
    """Only what is printed during the import is kept away."""
    plugin = from_file(SHOUT + "import sys\nprint('hello')\nHELD = sys.stdout\n")
    assert (plugin.said, plugin.problem) == ("hello", "")
    assert capsys.readouterr().out == ""
    sys.modules[plugin.module].HELD.write("later")
    assert capsys.readouterr().out == "later"


def test_an_import_that_hangs_is_given_up_and_the_alarm_is_as_before(
    from_file: Callable[..., Plugin], monkeypatch: pytest.MonkeyPatch
) -> None:
    import signal

    before = signal.getsignal(signal.SIGALRM)
    monkeypatch.setenv("HFT_PLUGIN_TIMEOUT", "0.2")
    plugin = from_file("import time\ntry:\n    time.sleep(60)\nexcept Exception:\n    pass\n")
    assert plugin.problem == "importing it takes more than 0.2 s (see HFT_PLUGIN_TIMEOUT)"
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("signature", "fits"),
    [
        ("(self, texts, spans, random)", True),
        ("(self, a, b, c, d=1)", True),
        ("(self, *everything)", True),
        ("(self, texts)", False),
        ("(self, texts, spans, random, more)", False),
        ("(self, texts, spans, random, *, more)", False),
    ],
)
def test_methods_have_to_take_what_the_engine_gives(
    signature: str, fits: bool, from_file: Callable[..., Plugin]
) -> None:
    plugin = from_file(SHOUT.replace("(self, texts, spans, random)", signature))
    assert ("Shout.edits" in plugin.problem) is not fits
