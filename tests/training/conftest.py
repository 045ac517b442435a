"""A bench for single stages: a tiny encoder and decoder without dropout, ragged texts, and jobs for the loop."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hft_core import HeadSpec, Objective, Stream
from hft_core.components import Columns, Roles
from hft_core.data.table import ROW, VARIANT, write_table
from hft_core.recipe.metrics import Best
from hft_core.recipe.model import Stage
from hft_core.runtime.text import TextPreprocessor
from hft_core.training import checkpoint
from hft_core.training.encoding import encode_files
from hft_core.training.job import Job, Validation
from hft_core.training.stopping import StopRequest
from hft_core.training.streams import LiveStream
from hft_plugins.metrics.classification import Accuracy
from hft_plugins.optimizers.schedules import Constant
from hft_plugins.optimizers.torch_optimizers import SGD
from hft_plugins.text_classification.objective import Classification
from hft_plugins.text_classification.task import TextClassification
from hft_plugins.transformers import tokenizer
from hft_plugins.transformers.causal_lm import CausalLM
from hft_plugins.transformers.masked_lm import MaskedLM
from hft_plugins.transformers.models import Bert, Gpt

WORDS = [
    "good",
    "bad",
    "film",
    "book",
    "meal",
    "room",
    "was",
    "very",
    "not",
    "the",
    "a",
    "it",
    "said",
    *"好差菜店很这家的",
]
OBJECTIVES = {"classification": Classification, "masked-lm": MaskedLM, "causal-lm": CausalLM}


def rows(count: int, seed: int = 0, longest: int = 20) -> Columns:
    """Texts of 2 to `longest` words, and a label each."""
    random = np.random.default_rng(seed)
    texts = [" ".join(random.choice(WORDS, random.integers(2, longest + 1))) for _ in range(count)]
    return {"text": texts, "label": ["pos" if "good" in text or "好" in text else "neg" for text in texts]}


class Crash(BaseException):
    """Ends a stage where a killed process would have ended."""


@dataclass
class Bench:
    """What all stages of a family share."""

    family: str
    preprocessor: TextPreprocessor
    model: Any
    start: Path
    """A folder with the heads main and masked-lm or causal-lm, without dropout."""
    folder: Path
    task: TextClassification = field(
        default_factory=lambda: TextClassification(type="text-classification", text="text", label="label")
    )
    facts: dict[str, Any] = field(default_factory=lambda: {"labels": ["neg", "pos"], "counts": [1, 1]})
    written: int = 1000
    """Rows that are written together: a shard is so many of them at least."""

    def objective(self, kind: str, **settings: Any) -> Any:
        own = {"data": "train", "task": "main"} if kind == "classification" else {"data": "corpus"}
        return OBJECTIVES[kind].model_validate({"type": kind} | own | settings)

    def context(self, objective: Objective) -> Stream:
        own = self.task if objective.task else None
        return Stream(self.preprocessor, Roles(text=("text",), target=("label",)), own, self.facts)

    def shards(self, objective: Objective, columns: Columns) -> list[Any]:
        """Encode rows as the engine does, through a file."""
        count = len(columns["text"])
        columns = columns | {ROW: list(range(count)), VARIANT: [0] * count}
        file = self.folder / "rows.arrow"
        parts = [slice(at, at + self.written) for at in range(0, max(1, count), self.written)]
        write_table(file, [{name: values[part] for name, values in columns.items()} for part in parts])
        return list(encode_files(objective, [file], [self.context(objective)]))

    def arrays(self, objective: Objective, columns: Columns) -> Any:
        """The arrays of rows that fit into one shard."""
        [arrays] = self.shards(objective, columns)
        return arrays

    def stream(self, objective: Any, columns: Columns, batch_size: int = 16, position: int = 0, seed: int = 0) -> Any:
        head = "main" if objective.trained_task else (objective.name or objective.type_name())
        shards = self.shards(objective, columns)
        return LiveStream.open(objective, head, self.context(objective), shards, batch_size, position, seed)

    def head(self, stream: LiveStream) -> HeadSpec:
        return stream.objective.head(stream.context) or self.task.head(self.facts)

    def job(
        self,
        *parts: tuple[Any, Columns],
        work: Path | None = None,
        start: Path | str | None = "own",
        validation: Columns | None = None,
        seed: int = 0,
        **settings: Any,
    ) -> Job:
        """A stage with one stream per (objective, rows); plain SGD of rate 0.1 unless `settings` say otherwise."""
        defaults: dict[str, Any] = {
            "stage": "finetune" if any(objective.task for objective, _ in parts) else "pretrain",
            "objectives": [objective for objective, _ in parts],
            "epochs": 1,
            "batch_size": 16,
            "optimizer": SGD(type="sgd", lr=0.1),
            "schedule": Constant(type="constant"),
            "clip": None,
            "checkpoint_minutes": 1000,
        }
        stage = Stage(**(defaults | settings))
        streams = [self.stream(o, c, stage.batch_size, i, seed) for i, (o, c) in enumerate(parts)]
        heads = {stream.head: self.head(stream) for stream in streams}
        if work is None:
            work = self.folder / "no-checkpoints"
        work.mkdir(parents=True, exist_ok=True)
        accuracy = Accuracy(type="accuracy")
        wanted = validation and Validation("main", self.task, self.facts, validation, [accuracy])
        return Job(
            stage=stage,
            model=self.model,
            start=self.start if start == "own" else start,  # type: ignore[arg-type]  # "own" is the only text
            preprocessor=self.preprocessor,
            streams=streams,
            heads=dict(sorted(heads.items(), key=lambda item: item[0] != "main")),
            seed=seed,
            precision="fp32",
            validations=[wanted] if wanted else [],
            best=Best("main", accuracy, "accuracy") if wanted else None,
            work=work,
            stop=StopRequest(),
            say=lambda text: None,
            advance=lambda step, steps, figures: None,
        )

    def weights(self, folder: Path | None = None, *heads: str) -> dict[str, torch.Tensor]:
        """The weights that a stage starts from, by their names in the net."""
        specs = {"main": self.task.head(self.facts)} if "main" in heads or not heads else {}
        specs |= {name: HeadSpec(name) for name in heads if name != "main"}
        return copied(self.model.build(folder or self.start, self.preprocessor, specs))


def copied(net: Any) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in net.named_parameters()}


def _bench(folder: Path, family: str) -> Bench:
    kind, model_class, language = {
        "bert": ("wordpiece", Bert, "masked-lm"),
        "gpt": ("bpe", Gpt, "causal-lm"),
    }[family]
    file = folder / "tokenizer.json"
    tokenizer.train(kind, 330, rows(100, seed=7)["text"]).save(str(file))
    model: Any = model_class.model_validate(
        {"type": family, "source": {"scratch": "tiny", "tokenizer": file}, "max_length": 64}
    )
    preprocessor = model.preprocessor(None, [])
    bench = Bench(family, preprocessor, model, folder / "start", folder)
    torch.manual_seed(1)
    specs = {"main": bench.task.head(bench.facts), language: HeadSpec(language)}
    net = model.build(None, preprocessor, specs)
    bench.start.mkdir()
    net.save(bench.start)
    preprocessor.save(bench.start)
    config = json.loads((bench.start / "config.json").read_text())
    for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "resid_pdrop", "embd_pdrop", "attn_pdrop"):
        if name in config:
            config[name] = 0.0
    (bench.start / "config.json").write_text(json.dumps(config))
    return bench


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return _bench(tmp_path_factory.mktemp("bert"), "bert")


@pytest.fixture(scope="session")
def gpt(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return _bench(tmp_path_factory.mktemp("gpt"), "gpt")


@pytest.fixture(scope="session")
def benches(bert: Bench, gpt: Bench) -> dict[str, Bench]:
    return {"bert": bert, "gpt": gpt}


@pytest.fixture(scope="session")
def make_rows() -> Callable[..., Columns]:
    """Give ``make(count, seed=0, longest=20)``: labelled texts."""
    return rows


@pytest.fixture(scope="session")
def parameters_of() -> Callable[[Any], dict[str, torch.Tensor]]:
    """Give ``copy(net)``: the net's parameters by name, each shared one once."""
    return copied


@pytest.fixture(scope="session")
def crash() -> type[BaseException]:
    """What a test raises to end a stage as a kill would."""
    return Crash


def _crashed(made: Job, after: int) -> None:
    """Run a job until `after` steps are done and their checkpoint has not been written."""
    from hft_core.training.loop import train

    def advance(step: int, steps: int, figures: Any) -> None:
        if step == after:
            raise Crash

    made.advance = advance
    with pytest.raises(Crash):
        train(made)


def latest(work: Path, say: Callable[[str], None] = lambda text: None) -> tuple[dict[str, torch.Tensor], Any] | None:
    """Tensors and state of the newest sound checkpoint."""
    found = checkpoint.newest(work, say)
    return None if found is None else checkpoint.read(found)


@pytest.fixture(scope="session")
def crashed() -> Callable[[Job, int], None]:
    """Give ``crashed(job, after)``."""
    return _crashed


@pytest.fixture
def survives(tmp_path: Path) -> Callable[..., Any]:
    """Give ``survives(made, *steps)``: crashes behind these steps, one after the other, change nothing of a stage's end.

    ``made(work)`` makes the job anew; it has to write a checkpoint after every step. Gives the result of the stage that
    nobody disturbed.
    """
    from hft_core.training.loop import train

    def check(made: Callable[[Path], Job], *steps: int) -> Any:
        whole = train(made(tmp_path / "whole"))
        for after in steps:
            _crashed(made(tmp_path / "work"), after)
        last = made(tmp_path / "work")
        said: list[str] = []
        last.say = said.append
        again = train(last)
        resumed = [line for line in said if line.startswith("continuing at step ")]
        assert resumed == [f"continuing at step {max(steps) - 1} of {_planned(last)}"], "else it shows nothing"
        ends = dict(_changed(again.net))
        for name, tensor in _changed(whole.net):
            assert torch.equal(tensor, ends[name]), name
        assert again.history == whole.history
        assert again.best_step == whole.best_step
        assert again.notes == whole.notes
        return whole

    return check


def _planned(job: Job) -> int:
    return job.streams[0].order.steps(job.stage.epochs)


def _changed(net: Any) -> list[tuple[str, torch.Tensor]]:
    return [*net.named_parameters(), *net.named_buffers()]
