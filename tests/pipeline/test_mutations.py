"""Random changes of recipe, data, plugin and seed: exactly the nodes that depend on what changed run again.

What depends on what is written down here by hand, apart from the engine, as a person would say it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.repeats import times

READS = {
    "prepare train": set(),
    "prepare validation": {"prepare train"},  # its columns and labels
    "prepare test": {"prepare train"},
    "prepare corpus": set(),
    "checks": {"prepare train", "prepare validation", "prepare test", "prepare corpus"},
    "augment": {"prepare train"},
    "preprocessor": set(),
    "encode adapt.masked-lm": {"prepare corpus", "preprocessor"},
    "encode tune.classification": {"augment", "preprocessor"},
    "encode tune.masked-lm": {"prepare corpus", "preprocessor"},
    "try stages": {"stage adapt", "stage tune"},  # not read, but what concerns one of them is tried again
    "stage adapt": {"encode adapt.masked-lm"},
    "stage tune": {"stage adapt", "encode tune.classification", "encode tune.masked-lm", "prepare validation"},
    "evaluate": {"stage tune", "prepare test"},
    "baselines": {"prepare validation", "prepare test", "preprocessor"},
    "diagnosis": {"evaluate", "prepare validation", "preprocessor"},
    "export onnx": {"evaluate"},
}
"""The nodes of the recipe below, and what each reads of the others'."""

FILTER = '''
from typing import Literal
from hft_core import RowFilter, hookimpl

class Longest(RowFilter):
    """Drops texts over a length."""

    type: Literal["longest"]
    limit: int = 1000

    def reasons(self, batches, roles):
        for columns in batches:
            yield ["too-long" if len(text) > self.limit else None for text in columns[roles.text[0]]]

@hookimpl
def register_cleaners():
    return [Longest]
'''
PREPARED = {"prepare train", "prepare validation", "prepare test", "prepare corpus"}
SETTINGS: dict[str, tuple[Callable[[random.Random], Any], set[str]]] = {
    "prepare.clean.1.limit": (lambda draw: draw.randint(400, 900), PREPARED),
    "prepare.augment.0.times": (lambda draw: draw.randint(2, 99), {"augment"}),
    "prepare.augment.0.name": (lambda draw: f"n{draw.random():.6f}".replace(".", ""), set()),
    "stages.0.name": (lambda draw: f"s{draw.randint(0, 10**6)}", set()),
    "stages.0.epochs": (lambda draw: draw.randint(4, 99), {"stage adapt"}),
    "stages.0.batch_size": (lambda draw: draw.randint(17, 99), {"stage adapt"}),
    "stages.0.workers": (lambda draw: draw.randint(1, 9), set()),
    "stages.0.checkpoint_minutes": (lambda draw: draw.uniform(6, 60), set()),
    "stages.0.optimizer.lr": (lambda draw: draw.uniform(1e-5, 1e-3), {"stage adapt"}),
    "stages.0.schedule": (lambda draw: {"type": "cosine", "floor": draw.random()}, {"stage adapt"}),
    "stages.0.objectives.0.rate": (lambda draw: draw.uniform(0.2, 0.9), {"stage adapt"}),
    "stages.0.objectives.0.weight": (lambda draw: draw.uniform(0.1, 0.9), {"stage adapt"}),
    "stages.1.epochs": (lambda draw: draw.randint(4, 99), {"stage tune"}),
    "stages.1.micro_batch": (lambda draw: draw.randint(1, 7), {"stage tune"}),
    "stages.1.clip": (lambda draw: draw.uniform(2, 9), {"stage tune"}),
    "stages.1.optimizer.lr": (lambda draw: draw.uniform(1e-5, 1e-3), {"stage tune"}),
    "stages.1.optimizer.beta1": (lambda draw: draw.uniform(0.1, 0.8), {"stage tune"}),
    "stages.1.techniques.0.decay": (lambda draw: draw.uniform(0.5, 0.99), {"stage tune"}),
    "stages.1.objectives.0.weight": (lambda draw: draw.uniform(0.1, 0.9), {"stage tune"}),
    "stages.1.objectives.1.weight": (lambda draw: {"from": draw.random(), "to": 0.0}, {"stage tune"}),
    "stages.1.objectives.1.rate": (lambda draw: draw.uniform(0.2, 0.9), {"stage tune"}),
    "stages.1.objectives.1.whole_words": (lambda draw: False, {"stage tune", "encode tune.masked-lm"}),
    "evaluate.best": (lambda draw: "f1", {"stage tune", "export onnx"}),
    "evaluate.metrics.1.average": (lambda draw: draw.choice(["micro", "weighted"]), {"try stages", "evaluate", "baselines"}),
    "export.0.precisions": (lambda draw: ["fp32", "int8"], {"export onnx"}),
    "export.0.opset": (lambda draw: draw.choice([18, 19, 21]), {"export onnx"}),
    "name": (lambda draw: f"r{draw.randint(0, 10**6)}", {"export onnx"}),
    "model.max_length": (lambda draw: draw.randint(20, 60), {"preprocessor", "stage adapt"}),
    "precision": (lambda draw: "bf16", {"stage adapt", "stage tune"}),
    "seed": (lambda draw: draw.randint(1, 10**6), {"augment", "stage adapt", "stage tune", "baselines"}),
}  # fmt: skip
FILES = {
    "train.csv": {"prepare train"},
    "dev.csv": {"prepare validation"},
    "test.csv": {"prepare test"},
    "corpus.txt": {"prepare corpus"},
    "shout.py": {"augment"},
    "longest.py": PREPARED,
}
"""Where a changed byte of a file is felt first."""


def behind(changed: set[str]) -> set[str]:
    """The changed nodes, and all that read of them."""
    found = set(changed)
    while more := {node for node, read in READS.items() if read & found} - found:
        found |= more
    return found


@pytest.fixture
def mutable(project: Any, shout: Path) -> Any:
    (project.folder / "longest.py").write_text(FILTER, encoding="utf-8")
    adapt, tune = project.recipe["stages"]
    joint = {"type": "masked-lm", "data": "corpus", "whole_words": True, "weight": {"from": 0.3, "to": 0.0}}
    tune["objectives"].append(joint)  # not as before: else both stages would share one encoding
    tune["techniques"] = [{"type": "ema"}]
    adapt["optimizer"] = {"type": "adamw", "lr": 1e-3}
    tune["optimizer"] = {"type": "adamw", "lr": 2e-3}
    adapt["schedule"] = tune["schedule"] = {"type": "linear", "warmup": 0.1}
    project.recipe["prepare"] = {
        "clean": [{"type": "whitespace"}, {"type": "longest", "limit": 1000}],
        "augment": [{"type": "shout", "times": 1}],
    }
    project.recipe["export"] = [{"type": "onnx", "precisions": ["fp32"], "opset": 20}]
    project.recipe["evaluate"] = {"metrics": [{"type": "accuracy"}, {"type": "f1", "average": "macro"}]}
    project.recipe["precision"] = "fp32"
    return project


def keys(project: Any, order: list[str], *overrides: str) -> dict[str, str]:
    """The nodes' keys under the names that they have without a change of names."""
    import hft_core.pipeline.nodes as nodes

    nodes._source.cache_clear()  # one process plans again and again here, while plugins change
    plugins = tuple(project.folder / name for name in ("shout.py", "longest.py"))
    found = list(project.plan(*overrides, plugins=plugins).values())
    return dict(zip(order, found, strict=True))


def mutations(project: Any, draw: random.Random) -> Iterator[tuple[str, list[str], set[str]]]:
    """What is changed, the overrides that do it (files are changed and put back), and where it is felt first."""
    while True:
        if draw.random() < 0.4:
            name = draw.choice(list(FILES))
            file = project.folder / name
            before = file.read_bytes()
            if file.suffix == ".py":
                changed = before + f"\n# {draw.random()}\n".encode()
            else:
                place = draw.randrange(len(before))
                changed = before[:place] + bytes([before[place] ^ (1 << draw.randrange(8))]) + before[place + 1 :]
            file.write_bytes(changed)
            yield f"a byte of {name}", [], FILES[name]
            file.write_bytes(before)
        else:
            chosen = draw.sample(list(SETTINGS), draw.choice([1, 1, 1, 2, 3]))
            made = {name: SETTINGS[name][0](draw) for name in chosen}
            overrides = [f"{name}={json.dumps(value)}" for name, value in made.items()]
            yield ", ".join(overrides), overrides, set().union(*(SETTINGS[name][1] for name in chosen))


@pytest.mark.slow
def test_random_changes(mutable: Any) -> None:
    order = list(mutable.plan(plugins=tuple(mutable.folder / name for name in ("shout.py", "longest.py"))))
    assert set(order) == set(READS)
    before = keys(mutable, order)
    draw = random.Random(20)
    source = mutations(mutable, draw)
    felt: set[str] = set()
    for _ in range(times(60, 200)):
        what, overrides, first = next(source)
        after = keys(mutable, order, *overrides)
        found = {name for name in before if before[name] != after[name]}
        assert found == behind(first), what
        felt |= found
    source.close()
    assert felt == set(READS), "every node was concerned by some change"


@pytest.mark.slow
def test_what_the_keys_say_is_what_runs(mutable: Any, make_events: Callable[[], Any]) -> None:
    """A few of the changes carried out: what was made is what the plan said."""
    import hft_core

    plugins = [mutable.folder / name for name in ("shout.py", "longest.py")]

    def made(*overrides: str) -> set[str]:
        events = make_events()
        hft_core.run(mutable.write(), overrides=overrides, plugins=plugins, progress=events)
        return {name for name, outcome in events.outcome.items() if outcome == "made"}

    assert made() == set(READS)
    assert made() == set()
    test = mutable.folder / "test.csv"
    test.write_text(test.read_text("utf-8").replace("good", "fine", 1), encoding="utf-8")
    assert made() == behind({"prepare test"})
    assert made("stages.1.optimizer.lr=0.001") == behind({"stage tune"})
    assert made("export.0.opset=19") == behind({"export onnx"})


def test_the_plan_names_what_changed(mutable: Any, hft_here: Callable[..., Any]) -> None:
    plugins = [part for name in ("shout.py", "longest.py") for part in ("--plugin", Path(mutable.folder / name))]
    outcome = hft_here("plan", mutable.write(), "--json", *plugins)
    rows = json.loads(outcome.out)
    assert {row["name"] for row in rows} == set(READS)
    assert {row["state"] for row in rows} == {"run"}
