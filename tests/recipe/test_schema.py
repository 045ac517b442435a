"""`hft schema`: what an editor gets says the same as the check of a recipe."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hft_core.components import KINDS
from hft_core.registry import load_registry

ROOT = Path(__file__).parents[2]
# The one of the plugin needs that plugin installed: tests/examples does it.
EXAMPLES = sorted(set(ROOT.glob("examples/*/recipe.yaml")) - {ROOT / "examples/plugin/recipe.yaml"})


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    from hft_core.recipe.narrow import narrow

    described: dict[str, Any] = narrow(load_registry()).model_json_schema()
    return described


def complaints(value: Any, rule: dict[str, Any], root: dict[str, Any], place: str = "") -> Iterator[str]:
    """A small validator of the part of JSON Schema that pydantic writes."""
    if "$ref" in rule:
        rule = root["$defs"][rule["$ref"].rpartition("/")[2]] | {k: v for k, v in rule.items() if k != "$ref"}
    for several in ("anyOf", "oneOf"):
        if several in rule:
            fitting = [not list(complaints(value, other, root, place)) for other in rule[several]]
            if not any(fitting) or (several == "oneOf" and sum(fitting) != 1):
                yield f"{place}: fits {sum(fitting)} of {several}"
    kinds = {
        "object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float),
        "null": type(None),
    }  # fmt: skip
    if "type" in rule and (
        not isinstance(value, kinds[rule["type"]]) or (isinstance(value, bool) and rule["type"] != "boolean")
    ):
        yield f"{place}: no {rule['type']}"
        return
    if ("const" in rule and value != rule["const"]) or ("enum" in rule and value not in rule["enum"]):
        yield f"{place}: not the value"
    if isinstance(value, str) and "pattern" in rule and not re.search(rule["pattern"], value):
        yield f"{place}: not the pattern"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        bounds = {
            "minimum": value >= rule.get("minimum", value), "maximum": value <= rule.get("maximum", value),
            "exclusiveMinimum": value > rule.get("exclusiveMinimum", value - 1),
            "exclusiveMaximum": value < rule.get("exclusiveMaximum", value + 1),
        }  # fmt: skip
        yield from (f"{place}: {name}" for name, kept in bounds.items() if not kept)
    if isinstance(value, list):
        if len(value) < rule.get("minItems", 0):
            yield f"{place}: too few"
        for index, item in enumerate(value):
            yield from complaints(item, rule.get("items", {}), root, f"{place}.{index}")
    if isinstance(value, dict) and rule.get("type") == "object":
        yield from (f"{place}: {name} is missing" for name in rule.get("required", []) if name not in value)
        for name, item in value.items():
            inner = rule.get("properties", {}).get(name, rule.get("additionalProperties", {}))
            if inner is False:
                yield f"{place}: {name} is unknown"
            elif inner is not True:
                yield from complaints(item, inner, root, f"{place}.{name}")


def test_every_installed_type_is_in_it_and_has_to_be_named(schema: dict[str, Any]) -> None:
    registry = load_registry()
    named = {
        definition["properties"]["type"].get("const"): definition
        for definition in schema["$defs"].values()
        if "type" in definition.get("properties", {})
    }
    for kind in KINDS:
        for name in registry.classes(kind):
            assert "type" in named[name]["required"], name
            assert "default" not in named[name]["properties"]["type"]
            assert named[name]["additionalProperties"] is False
    assert "type" in named["task"]["required"]


def test_every_key_is_described(schema: dict[str, Any]) -> None:
    for name, definition in {"Recipe": schema, **schema["$defs"]}.items():
        for key, rule in definition.get("properties", {}).items():
            assert key == "type" or rule.get("description"), f"{name}.{key}"


def test_the_command_prints_it(hft_here: Callable[..., Any], schema: dict[str, Any]) -> None:
    outcome = hft_here("schema")
    assert outcome.code == 0
    printed = json.loads(outcome.out)
    assert printed.pop("$schema") == "https://json-schema.org/draft/2020-12/schema"
    assert printed == json.loads(json.dumps(schema))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda file: file.parent.name)
def test_the_examples_fit_it(example: Path, schema: dict[str, Any]) -> None:
    from hft_core.recipe.yaml import read_yaml

    assert list(complaints(read_yaml(example)[0], schema, schema)) == []


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda r: r.update(sede=1), id="unknown key"),
        pytest.param(lambda r: r["stages"][0].update(epohcs=1), id="unknown key of a stage"),
        pytest.param(lambda r: r["data"]["train"].update(pth="a"), id="unknown key of a component"),
        pytest.param(lambda r: r["data"]["train"].pop("type"), id="no type"),
        pytest.param(lambda r: r["data"]["train"].update(type="cvs"), id="unknown type"),
        pytest.param(lambda r: r["stages"][0].update(epochs="many"), id="wrong type"),
        pytest.param(lambda r: r["stages"][0]["optimizer"].update(lr=True), id="a switch for a number"),
        pytest.param(lambda r: r["stages"][0]["optimizer"].update(lr=0), id="out of range"),
        pytest.param(lambda r: r.update(stages=[]), id="no stage"),
        pytest.param(lambda r: r.update(name="a/b"), id="a name with a slash"),
        pytest.param(lambda r: r.pop("model"), id="no model"),
    ],
)
def test_what_the_check_refuses_it_refuses(change: Callable[[Any], object], schema: dict[str, Any], tiny: Any) -> None:
    from hft_core import RecipeError
    from hft_core.recipe import load_recipe

    assert list(complaints(tiny.recipe, schema, schema)) == []
    load_recipe(tiny.write(), load_registry())
    change(tiny.recipe)
    assert list(complaints(tiny.recipe, schema, schema))
    with pytest.raises(RecipeError):
        load_recipe(tiny.write(), load_registry())


def test_a_plugins_component_field_takes_the_installed_ones(tmp_path: Path) -> None:
    """Fields typed with a base class are narrowed within components too, and into themselves."""
    from hft_core.recipe.narrow import narrow

    file = tmp_path / "nested.py"
    file.write_text(
        "from typing import Literal\n"
        "from hft_core import Augmenter, hookimpl\n"
        "class Twice(Augmenter):\n"
        '    """Do it twice."""\n'
        '    type: Literal["twice"]\n'
        "    inner: list[Augmenter]\n"
        '    """What."""\n'
        "    def edits(self, texts, spans, random):\n"
        "        return []\n"
        "@hookimpl\n"
        "def register_augmenters():\n"
        "    return [Twice]\n",
        encoding="utf-8",
    )
    registry = load_registry([file])
    described = narrow(registry).model_json_schema()
    inner = described["$defs"]["Twice"]["properties"]["inner"]["items"]
    assert set(inner["discriminator"]["mapping"]) == {"twice", *load_registry().classes("augmenter")}
