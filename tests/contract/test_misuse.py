"""Mistakes that a plugin's author or a recipe's makes with the contract: each is one message that says whose and what."""

from __future__ import annotations

from typing import Any

import pytest

import hft_core

PLUGIN = '''
from typing import ClassVar, Literal
import numpy as np
from hft_core import HeadSpec, Metric, Objective, hookimpl
from hft_plugins.transformers.masked_lm import MaskedLM

class Own(MaskedLM):
    """Encodes for itself."""

    type: Literal["own"]

    def encode(self, columns, stream):
        arrays = stream.preprocessor.encode(columns[stream.roles.text[0]])
        return {name: array ROWS for name, array in arrays.items()}

class Bare(Metric):
    """Gives a number."""

    needs: ClassVar[frozenset[str]] = frozenset({"label"})
    type: Literal["bare"]

    def rows(self, predictions, truths, facts):
        return np.ones((len(truths), 1))

    def value(self, statistics, facts):
        return 1.0

@hookimpl
def register_objectives():
    return [Own]

@hookimpl
def register_metrics():
    return [Bare]
'''


@pytest.fixture
def misused(tiny: Any) -> Any:
    (tiny.folder / "corpus.txt").write_text("\n".join(f"the film {n}" for n in range(40)), encoding="utf-8")
    (tiny.folder / "mine.py").write_text(PLUGIN.replace(" ROWS", ""), encoding="utf-8")
    return tiny


def test_an_encoding_of_one_entry_per_row_need_not_say_so(misused: Any) -> None:
    misused.recipe["data"]["corpus"] = {"type": "text", "path": "corpus.txt"}
    misused.recipe["stages"][0]["objectives"].append({"type": "own", "data": "corpus"})
    hft_core.run(misused.write(), plugins=[misused.folder / "mine.py"])


def test_one_of_other_entries_has_to(misused: Any) -> None:
    cut = PLUGIN.replace(" ROWS", ".take(np.arange(3))")
    (misused.folder / "mine.py").write_text(cut, encoding="utf-8")
    misused.recipe["data"]["corpus"] = {"type": "text", "path": "corpus.txt"}
    misused.recipe["stages"][0]["objectives"].append({"type": "own", "data": "corpus"})
    with pytest.raises(hft_core.PluginError, match=r"'own': its encode\(\) gave arrays of \[3\] entries for 40 rows"):
        hft_core.run(misused.write(), plugins=[misused.folder / "mine.py"])


def test_a_metric_gives_figures_by_name(misused: Any) -> None:
    misused.recipe["evaluate"] = {"metrics": [{"type": "bare"}]}
    with pytest.raises(hft_core.PluginError, match=r"metric 'bare': its value\(\) gave a float"):
        hft_core.run(misused.write(), plugins=[misused.folder / "mine.py"])


def test_vectors_without_couples_is_refused_when_the_class_is_made() -> None:
    from typing import Literal

    with pytest.raises(TypeError, match="declare `couples"):

        class Silent(hft_core.Objective):
            """Couples rows without saying so."""

            type: Literal["silent"]

            def count(self, batch: Any) -> int:
                return 1

            def vectors(self, net: Any, batch: Any) -> Any:
                return {}

            def couple(self, vectors: Any) -> Any:
                return None


@pytest.mark.parametrize(
    ("objective", "said"),
    [
        (
            {"type": "tagging", "data": "train"},
            "tagging trains tasks that give entities, but 'main' (text-classification)",
        ),
        ({"type": "task", "data": "train", "task": "man"}, "there is no task 'man'"),
        ({"type": "masked-lm", "data": "train", "task": "main"}, "masked-lm does not train the task 'main'"),
    ],
)
def test_an_objective_that_does_not_fit_its_task(tiny: Any, hft_here: Any, objective: Any, said: str) -> None:
    tiny.recipe["stages"][0]["objectives"] = [objective]
    outcome = hft_here("check", tiny.write())
    assert outcome.code == 2
    assert said in outcome.err
    assert outcome.err.count("stages.0") == 1, "one mistake is one message"


def test_the_tasks_objective_may_be_written_out(tiny: Any, hft_here: Any) -> None:
    (tiny.folder / "texts.txt").write_text("\n".join(f"the film was good {n}" for n in range(40)), encoding="utf-8")
    tiny.recipe |= {
        "data": {"train": {"type": "text", "path": "texts.txt"}},
        "task": {"type": "text-generation"},
        "model": {"type": "gpt", "source": {"scratch": "tiny", "tokenizer": {"type": "bpe", "size": 300}}},
    }
    tiny.recipe["stages"][0]["objectives"] = [{"type": "causal-lm", "data": "train", "block": 32}]
    assert hft_here("check", tiny.write()).code == 0
