"""Whatever a stage is made of, crashes do not change how it ends: a row for each component with an effect over steps.

Each case trains once undisturbed, and once with crashes, each going on from the checkpoint before it; the ends are the same
bit by bit. Dropout is on, and the last micro-batch of a step is smaller than the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hft_core import Objective
from hft_core.recipe.model import Plateau
from hft_core.registry import load_registry
from hft_plugins.optimizers.lion import Lion
from hft_plugins.optimizers.muon import Muon
from hft_plugins.optimizers.schedules import Constant, Cosine, Linear
from hft_plugins.optimizers.torch_optimizers import SGD, Adam, AdamW
from hft_plugins.techniques.distillation import Distillation
from hft_plugins.techniques.ema import EMA
from hft_plugins.techniques.fgm import FGM
from hft_plugins.techniques.freeze import Freeze
from hft_plugins.techniques.gradual_unfreezing import GradualUnfreezing
from hft_plugins.techniques.layerwise_decay import LayerwiseDecay
from hft_plugins.techniques.lora import LoRA
from hft_plugins.techniques.mixup import Mixup
from hft_plugins.techniques.r_drop import RDrop
from hft_plugins.techniques.rates import Rates
from hft_plugins.techniques.reinit import Reinit
from hft_plugins.techniques.swa import SWA
from hft_plugins.text_classification.contrastive import SupervisedContrastive
from hft_plugins.transformers import tokenizer
from hft_plugins.transformers.models import T5, Bert
from hft_plugins.transformers.seq2seq.span_corruption import SpanCorruption

pytestmark = pytest.mark.slow

pytest.importorskip("peft", reason='needs peft; pip install "hft-core[lora]"')
pytest.importorskip("lion_pytorch", reason='needs lion-pytorch; pip install "hft-core[lion]"')

Parts = Callable[[Any], list[tuple[Objective, int]]]

TASK = {"data": "train", "task": "main"}
CONTRASTIVE = {"type": "supervised-contrastive"} | TASK
RAMP = {"from": 1.0, "to": 0.2}
ADAMW = AdamW(type="adamw", lr=1e-3)
SCHEDULE = Linear(type="linear", warmup=0.2)


def task(bench: Any) -> list[tuple[Objective, int]]:
    """The task alone; 22 rows are three steps of 8, 8 and 6, and these are pieces of 3, 3 and 2, or 3 and 3."""
    return [(bench.objective("classification"), 22)]


def text(kind: str, rows: int = 24, **settings: Any) -> Parts:
    return lambda bench: [(bench.objective(kind, **settings), rows)]


def joint(bench: Any) -> list[tuple[Objective, int]]:
    """Three streams of different lengths; the second has a weight that changes, the third goes out."""
    return [
        *task(bench),
        (bench.objective("masked-lm", weight=RAMP, batch_size=5), 31),
        (SupervisedContrastive.model_validate(CONTRASTIVE | {"weight": {"from": 0.5, "to": 0.0}}), 14),
    ]


def spans(bench: Any) -> list[tuple[Objective, int]]:
    return [(SpanCorruption(type="span-corruption", data=["corpus"]), 24)]


@dataclass(frozen=True)
class Case:
    """A stage of two epochs, and where it crashes."""

    parts: Parts = task
    techniques: Sequence[Any] = ()
    optimizer: Any = ADAMW
    family: str = "bert"
    crashes: tuple[int, ...] = (2, 5)
    validation: int = 0
    """Rows to validate on; 100 or more choose a best epoch."""
    fresh: bool = True
    """Begin with a fresh model, which has dropout."""
    stage: dict[str, Any] = field(default_factory=dict)


CASES = {
    # objectives
    "masked-lm": Case(text("masked-lm")),
    "whole words": Case(text("masked-lm", whole_words=True)),
    "causal-lm": Case(text("causal-lm", 90, block=16), family="gpt"),
    "causal-lm without boundaries": Case(text("causal-lm", 90, block=16, boundaries=False), family="gpt"),
    "span-corruption": Case(spans, family="t5"),
    "joint": Case(joint, validation=110),
    "joint beside causal-lm": Case(
        lambda bench: [*task(bench), (bench.objective("causal-lm", weight=RAMP, block=16, batch_size=3), 60)], family="gpt"
    ),
    "workers": Case(text("masked-lm"), stage={"workers": 2}, crashes=(4,)),
    "workers, joint": Case(joint, stage={"workers": 2}, crashes=(4,)),
    # optimizers and schedules
    "adam": Case(optimizer=Adam(type="adam", lr=1e-3), stage={"clip": 0.1}),
    "momentum": Case(optimizer=SGD(type="sgd", lr=0.05, momentum=0.9, nesterov=True)),
    "muon": Case(optimizer=Muon(type="muon", lr=1e-3), stage={"schedule": Cosine(type="cosine", floor=0.1)}),
    "lion": Case(optimizer=Lion(type="lion", lr=1e-3), stage={"schedule": Constant(type="constant", warmup=3)}),
    # techniques
    "ema": Case(techniques=[EMA(type="ema", decay=0.5)], validation=110),
    "swa": Case(techniques=[SWA(type="swa", start=0.3)], validation=110, crashes=(2, 4, 6)),
    "freeze": Case(techniques=[Freeze(type="freeze", below=0.4)]),
    "gradual-unfreezing": Case(techniques=[GradualUnfreezing(type="gradual-unfreezing")], crashes=(2, 3, 5)),
    "layerwise-decay": Case(techniques=[LayerwiseDecay(type="layerwise-decay", rate=0.5)]),
    "rates": Case(techniques=[Rates(type="rates", factors={"head": 10.0})]),
    "reinit": Case(techniques=[Reinit(type="reinit")], fresh=False),
    "lora": Case(techniques=[LoRA(type="lora", dropout=0.2)]),
    "lora beside full updates": Case(techniques=[LoRA(type="lora", alone=False), EMA(type="ema", decay=0.5)]),
    "r-drop": Case(techniques=[RDrop(type="r-drop")]),
    "fgm": Case(techniques=[FGM(type="fgm")]),
    "mixup": Case(techniques=[Mixup(type="mixup")]),
    "distillation": Case(techniques=[Distillation(type="distillation", teacher=Bert(type="bert", source="the bench's own"))]),
    "several": Case(
        joint,
        [
            LoRA(type="lora", alone=False),
            GradualUnfreezing(type="gradual-unfreezing"),
            FGM(type="fgm"),
            RDrop(type="r-drop"),
            SWA(type="swa", start=0.3),
        ],
        Muon(type="muon", lr=1e-3),
        crashes=(2, 4, 5),
        validation=110,
        stage={"workers": 2},
    ),
    # what validations lead to
    "early stopping": Case(
        validation=110, optimizer=SGD(type="sgd", lr=1e-6), crashes=(2, 8), stage={"early_stopping": 2, "epochs": 5}
    ),
    "plateau": Case(
        validation=110, optimizer=SGD(type="sgd", lr=1e-6), crashes=(5, 10), stage={"plateau": Plateau(), "epochs": 4}
    ),
    # a new head, trained alone for the first two of 18 steps: crashes in them, at their end, and behind them
    "settling": Case(
        text("masked-lm", 80), fresh=False, crashes=(2, 3, 4), stage={"epochs": 2}, techniques=[EMA(type="ema", decay=0.5)]
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def t5(bert: Any, make_rows: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("t5")
    file = folder / "tokenizer.json"
    tokenizer.train("unigram", 330, make_rows(100, seed=7)["text"], "t5").save(str(file))
    model: Any = T5.model_validate({"type": "t5", "source": {"scratch": "tiny", "tokenizer": file}, "max_length": 64})
    return type(bert)("t5", model.preprocessor(None, []), model, folder, folder)


@pytest.fixture(scope="module")
def headless(bert: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with the task's head alone."""
    folder = tmp_path_factory.mktemp("headless")
    bert.model.build(bert.start, bert.preprocessor, {"main": bert.task.head(bert.facts)}).save(folder)
    return folder


def made(case: Case, bench: Any, make_rows: Any, start: Path, work: Path) -> Any:
    taught = {"teacher": bench.model.model_copy(update={"source": bench.start})}
    techniques = [t.model_copy(update=taught) if isinstance(t, Distillation) else t for t in case.techniques]
    settings = {
        "epochs": 2,
        "batch_size": 8,
        "micro_batch": 3,
        "optimizer": case.optimizer,
        "schedule": SCHEDULE,
        "clip": 1.0,
        "checkpoint_minutes": 0,
    }
    return bench.job(
        *[(objective, make_rows(rows, seed=place)) for place, (objective, rows) in enumerate(case.parts(bench))],
        work=work,
        start=None if case.fresh else start,
        validation=make_rows(case.validation, seed=9) if case.validation else None,
        techniques=techniques,
        **(settings | case.stage),
    )


@pytest.mark.parametrize("name", CASES)
def test_a_crashed_stage_ends_as_the_undisturbed_one(
    benches: dict[str, Any], t5: Any, headless: Path, make_rows: Any, survives: Any, name: str
) -> None:
    case = CASES[name]
    bench = t5 if case.family == "t5" else benches[case.family]
    start = headless if name == "settling" else bench.start
    survives(lambda work: made(case, bench, make_rows, start, work), *case.crashes)


def types(components: Iterable[Any]) -> set[str]:
    return {component.type_name() for component in components}


@pytest.mark.parametrize("kind", ["technique", "optimizer", "schedule", "objective"])
def test_every_builtin_component_has_a_row(benches: dict[str, Any], t5: Any, kind: str) -> None:
    """A new one needs a case: that its state is not in the checkpoint shows nowhere else.

    Of the objectives those on text; what a task asks has no randomness.
    """
    known = load_registry().classes(kind).values()
    ours = [component for component in known if component.__module__.startswith("hft_plugins.")]
    if kind == "objective":
        ours = [component for component in ours if not component.needs_task]  # type: ignore[attr-defined]
    nets = benches | {"t5": t5}
    found = {
        "technique": [technique for case in CASES.values() for technique in case.techniques],
        "optimizer": [case.optimizer for case in CASES.values()],
        "schedule": [case.stage.get("schedule", SCHEDULE) for case in CASES.values()],
        "objective": [objective for case in CASES.values() for objective, _ in case.parts(nets[case.family])],
    }[kind]
    assert types(ours) - types(found) == set()
