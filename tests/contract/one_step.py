"""One optimizer step of each shape of model and objective, in this process or as one of several.

As a script: ``one_step.py FOLDER MICRO_BATCH SHAPE…`` in the environment that torch.distributed wants, and with STRATEGY
(ddp or fsdp) in it; rank 0 writes the update of each shape to ``FOLDER/SHAPE/update-STRATEGY.safetensors``. `prepare` has
made the folder of the shape before.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModel

from hft_core import Columns, Facts, HeadSpec, Model, Objective, Stream, Task
from hft_core.components import Roles
from hft_core.data.table import ROW, VARIANT, write_table
from hft_core.recipe.model import Stage
from hft_core.runtime.text import TextPreprocessor
from hft_core.training.encoding import encode_files
from hft_core.training.job import Job
from hft_core.training.loop import train
from hft_core.training.stopping import StopRequest
from hft_core.training.streams import LiveStream
from hft_plugins.embeddings.negatives import InBatchNegatives
from hft_plugins.embeddings.scored import CoSent
from hft_plugins.embeddings.task import SentenceEmbedding, SentenceSimilarity
from hft_plugins.optimizers.schedules import Constant
from hft_plugins.optimizers.torch_optimizers import SGD
from hft_plugins.text_classification.contrastive import SupervisedContrastive
from hft_plugins.text_classification.objective import Classification
from hft_plugins.text_classification.task import TextClassification
from hft_plugins.token_classification.objective import Tagging
from hft_plugins.token_classification.task import TokenClassification
from hft_plugins.transformers import tokenizer
from hft_plugins.transformers.causal_lm import CausalLM
from hft_plugins.transformers.masked_lm import MaskedLM
from hft_plugins.transformers.models import Bert, Gpt

RATE = 0.1
BATCH = 16
WORDS = ["good", "bad", "film", "book", "meal", "room", "was", "very", "not", "the", "it", "said", *"好差菜店很这家的"]
Update = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Part:
    """One objective of a stage, and its rows."""

    objective: Objective
    columns: Columns
    roles: Roles
    task: Task | None = None
    facts: Facts = field(default_factory=dict)

    @property
    def head(self) -> str:
        return self.objective.trained_task or self.objective.type_name()


@dataclass(frozen=True)
class Shape:
    """A model and what is minimised."""

    family: str
    parts: list[Part]


def texts(count: int, seed: int, longest: int = 24) -> list[str]:
    """Ragged texts: 2 to `longest` words each."""
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, random.integers(2, longest + 1))) for _ in range(count)]


def classification() -> Part:
    task = TextClassification(type="text-classification", text="text", label="label")
    columns: Columns = {"text": texts(BATCH, 1)}
    columns["label"] = ["pos" if "good" in text else "neg" for text in columns["text"]]
    objective = Classification(type="classification", data="train", task="main")
    return Part(objective, columns, task.roles(), task, task.learn([columns]))


def side_loss() -> Part:
    """Rows alone with their label in a piece, or on a process, are not so in the step."""
    part = classification()
    objective = SupervisedContrastive(type="supervised-contrastive", data="train", task="main")
    return replace(part, objective=objective)


def tagging() -> Part:
    task = TokenClassification(type="token-classification")
    columns: Columns = {"text": texts(BATCH, 9)}
    columns["entities"] = [
        [{"start": at.start(), "end": at.end(), "type": "thing"} for at in re.finditer("film|book|菜", text)]
        for text in columns["text"]
    ]
    objective = Tagging(type="tagging", data="train", task="main")
    return Part(objective, columns, task.roles(), task, task.learn([columns]))


def masked_lm(**settings: Any) -> Part:
    objective = MaskedLM(type="masked-lm", data="corpus", **settings)
    return Part(objective, {"text": texts(BATCH + 1, 2)}, Roles(text=("text",)))  # one row is held out


def causal_lm() -> Part:
    objective = CausalLM(type="causal-lm", data="corpus")
    return Part(objective, {"text": texts(75, 3)}, Roles(text=("text",)))  # packed: full blocks, and a short last one


def seq2seq() -> Part:
    from hft_seq2seq.objective import Rewrite
    from hft_seq2seq.task import Rewriting

    task = Rewriting(type="rewriting")
    columns: Columns = {"source": texts(BATCH, 4), "target": texts(BATCH, 5)}
    return Part(Rewrite(type="rewrite", data="train", task="main"), columns, task.roles(), task)


def contrastive(plain: bool = False) -> Part:
    from hft_contrastive.objective import Contrastive, ContrastivePlain
    from hft_contrastive.task import TextPairs

    task = TextPairs(type="text-pairs")
    columns: Columns = {"anchor": texts(BATCH, 6), "positive": texts(BATCH, 7)}
    made: Objective = Contrastive(type="contrastive", data="train", task="main")
    if plain:
        made = ContrastivePlain(type="contrastive-plain", data="train", task="main")
    return Part(made, columns, task.roles(), task)


def pairs() -> Part:
    """With hard negatives, and rows that share their partner with one in another piece."""
    task = SentenceEmbedding(type="sentence-embedding", negative="negative")
    positive = texts(BATCH, 11)
    columns: Columns = {
        "text": texts(BATCH, 10),
        "positive": [*positive[:12], *positive[:4]],
        "negative": texts(BATCH, 12),
    }
    objective = InBatchNegatives(type="in-batch-negatives", data="train", task="main", symmetric=True)
    return Part(objective, columns, task.roles(), task)


def scored_pairs() -> Part:
    task = SentenceSimilarity(type="sentence-similarity")
    scores = (np.arange(BATCH) % 5 / 4).tolist()
    columns: Columns = {"text": texts(BATCH, 13), "other": texts(BATCH, 14), "score": scores}
    return Part(CoSent(type="cosent", data="train", task="main"), columns, task.roles(), task)


SHAPES: dict[str, Callable[[], Shape]] = {
    "bert-classification": lambda: Shape("bert", [classification()]),
    "bert-masked-lm": lambda: Shape("bert", [masked_lm()]),
    "bert-tagging": lambda: Shape("bert", [tagging()]),
    "gpt-classification": lambda: Shape("gpt", [classification()]),
    "gpt-causal-lm": lambda: Shape("gpt", [causal_lm()]),
    "t5-seq2seq": lambda: Shape("t5", [seq2seq()]),
    "bert-joint": lambda: Shape("bert", [classification(), masked_lm(weight=0.5)]),
    "bert-mixed": lambda: Shape("bert", [classification(), masked_lm(weight=0.5, batch_size=6)]),
    "bert-supervised-contrastive": lambda: Shape("bert", [classification(), side_loss()]),
    "bert-contrastive": lambda: Shape("bert", [contrastive()]),
    "bert-contrastive-plain": lambda: Shape("bert", [contrastive(plain=True)]),
    "bert-in-batch-negatives": lambda: Shape("bert", [pairs()]),
    "gpt-cosent": lambda: Shape("gpt", [scored_pairs()]),
    "bert-contrastive-joint": lambda: Shape("bert", [contrastive(), masked_lm(weight=0.5)]),
}


def prepare(name: str, folder: Path, dropout: float = 0.0) -> None:
    """Write ``folder/name``: a tiny model that has the shape's heads, in fp32, with this dropout."""
    shape = SHAPES[name]()
    base = folder / name / "base"
    base.mkdir(parents=True)
    torch.manual_seed(1)
    if shape.family == "t5":
        model = _model(shape.family, None, dropout)
        preprocessor = model.preprocessor(None, texts(100, 8))
        net = model.build(None, preprocessor, _heads(shape, preprocessor))
    else:
        _write_base(shape.family, base, dropout)
        model = _model(shape.family, base, dropout)
        preprocessor = model.preprocessor(base, [])
        net = model.build(base, preprocessor, _heads(shape, preprocessor))
    start = folder / name / "start"
    start.mkdir()
    net.save(start)
    preprocessor.save(start)


def job(name: str, folder: Path, micro_batch: int) -> Job:
    """One step of plain SGD on 16 ragged rows of each objective."""
    shape = SHAPES[name]()
    start = folder / name / "start"
    model = _model(shape.family, start, 0.0)
    preprocessor: Any = model.preprocessor(start, [])
    rank = os.environ.get("RANK", "0")
    streams = []
    for position, part in enumerate(shape.parts):
        context = Stream(preprocessor, part.roles, part.task, part.facts)
        file = folder / name / f"rows-{rank}.arrow"
        count = len(part.columns[part.roles.text[0]])
        write_table(file, [part.columns | {ROW: list(range(count)), VARIANT: [0] * count}])
        shards = list(encode_files(part.objective, [file], [context]))
        rows = part.objective.batch_size or BATCH
        streams.append(LiveStream.open(part.objective, part.head, context, shards, rows, position, seed=0))
    stage = Stage(
        stage="finetune" if any(part.task for part in shape.parts) else "pretrain",
        objectives=[part.objective for part in shape.parts],
        epochs=1e-6,  # one step
        batch_size=BATCH,
        micro_batch=micro_batch,
        optimizer=SGD(type="sgd", lr=RATE),
        schedule=Constant(type="constant"),
        clip=None,
        checkpoint_minutes=1000,
    )
    return Job(
        stage=stage,
        model=model,
        start=start,
        preprocessor=preprocessor,
        streams=streams,
        heads=_heads(shape, preprocessor),
        seed=0,
        precision="fp32",
        validations=[],
        best=None,
        work=folder / name,
        stop=StopRequest(),
        say=lambda text: None,
        advance=lambda step, steps, figures: None,
        strategy=os.environ.get("STRATEGY", "ddp"),  # type: ignore[arg-type]  # ddp or fsdp
    )


def update(made: Job) -> Update:
    """Run the job's one step, and give what it added to each weight."""
    before = _weights(made.model.build(made.start, made.preprocessor, made.heads))
    result = train(made)
    assert result.steps == 1
    after = _weights(result.net)
    return {name: after[name] - before[name] for name in before}


def _weights(net: torch.nn.Module) -> Update:
    """The weights by name, each shared one once."""
    return {name: parameter.detach().clone() for name, parameter in net.named_parameters()}


def _heads(shape: Shape, preprocessor: Any) -> dict[str, HeadSpec]:
    heads = {}
    for part in shape.parts:
        asked = part.objective.head(Stream(preprocessor, part.roles, part.task, part.facts))
        heads[part.head] = asked or part.task.head(part.facts)  # type: ignore[union-attr]  # it has a head or a task
    return heads


def _model(family: str, source: Path | None, dropout: float) -> Model:
    if family == "t5":
        from hft_seq2seq.model import TinyT5

        return TinyT5(type="tiny-t5", source=source, dropout=dropout)
    assert source is not None
    if family == "bert":
        return Bert(type="bert", source=source, max_length=64)
    return Gpt(type="gpt", source=source, max_length=64)


def _write_base(family: str, folder: Path, dropout: float) -> None:
    """Write a backbone of two layers with its tokenizer."""
    kind = "wordpiece" if family == "bert" else "bpe"
    made: TextPreprocessor = tokenizer.for_scratch(tokenizer.train(kind, 330, texts(100, 8)), family, 64)
    made.save(folder)
    own: dict[str, Any]
    if family == "bert":
        own = {"intermediate_size": 64, "hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    else:
        own = {"resid_pdrop": dropout, "embd_pdrop": dropout, "attn_pdrop": dropout}
        own |= {"bos_token_id": made.special["eos"], "eos_token_id": made.special["eos"]}
    config = AutoConfig.for_model(
        "bert" if family == "bert" else "gpt2",
        vocab_size=made.vocabulary,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
        initializer_range=0.1,
        **own,
    )
    AutoModel.from_config(config).save_pretrained(folder)  # type: ignore[no-untyped-call]  # by transformers


if __name__ == "__main__":
    torch.set_num_threads(1)
    root = Path(sys.argv[1])
    for wanted in sys.argv[3:]:
        found = update(job(wanted, root, int(sys.argv[2])))
        assert torch.distributed.get_world_size() == int(os.environ["WORLD_SIZE"])  # not each for itself
        if os.environ["RANK"] == "0":
            file = root / wanted / f"update-{os.environ.get('STRATEGY', 'ddp')}.safetensors"
            save_file({key: tensor.contiguous() for key, tensor in found.items()}, file)
