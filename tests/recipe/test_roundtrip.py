"""The text of a recipe with remarks: nothing of it is lost, and each stands above what it is about."""

from __future__ import annotations

import pytest

from hft_core.recipe.roundtrip import read_text, remark, written
from hft_core.recipe.yaml import parse_yaml

TEXT = """\
# 我的配方
name: reviews
model: {type: bert, max_length: 32}  # short
# how it is trained
stages:
  # first
  - stage: pretrain  # on text
    epochs: 3  # a guess
    optimizer: {type: adam, lr: 1e-5}
  - epochs: 2
    optimizer:
      # slow
      lr: 1e-4
      type: 'adam'
  - {stage: finetune, epochs: 3}
"""
PLACES = {
    "name": "name: reviews",
    "model.max_length": "model: {",
    "stages.0.epochs": "    epochs: 3  # a guess",
    "stages.0.optimizer.lr": "    optimizer: {type: adam, lr: 1e-5}",
    "stages.1.epochs": "  - epochs: 2",
    "stages.1.optimizer.type": "      type: 'adam'",
    "stages.1.optimizer.lr": "      lr: 1e-4",
    "stages.2.epochs": "  - {stage: finetune",
}


@pytest.mark.parametrize(("path", "line"), PLACES.items())
def test_a_remark_stands_above_what_it_is_about(path: str, line: str) -> None:
    raw = read_text(TEXT)
    assert remark(raw, path, ["found: 变好了 " + "and so on " * 20])
    assert remark(raw, path, ["once more"])
    text = written(raw)
    above, found, _ = text.partition(f"\n{line}")
    assert found, text
    indent = line[: len(line) - len(line.lstrip())]
    assert above.splitlines()[-1] == f"{indent}# once more"
    assert any(said.startswith(f"{indent}# found: 变好了") for said in above.splitlines()[-6:])
    kept = [
        said for said in text.splitlines() if "found:" not in said and "once more" not in said and "and so" not in said
    ]
    assert kept == TEXT.splitlines()
    assert parse_yaml(text, "")[0] == parse_yaml(TEXT, "")[0]
    assert max(map(len, text.splitlines())) <= 120


def test_a_recipe_in_one_line_has_no_place_for_remarks() -> None:
    raw = read_text('{"name": "a", "stages": [{"epochs": 3}]}')
    assert not remark(raw, "stages.0.epochs", ["found"])
    assert "found" not in written(raw)
