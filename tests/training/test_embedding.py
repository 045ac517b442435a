"""A table of only the rows that a stage can meet trains as the whole table does."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from hft_core.training import embedding, setup
from hft_core.training.loop import train
from hft_plugins.optimizers.torch_optimizers import SGD, Adam, AdamW
from hft_plugins.techniques.ema import EMA
from hft_plugins.techniques.fgm import FGM
from hft_plugins.techniques.layerwise_decay import LayerwiseDecay
from hft_plugins.techniques.reinit import Reinit

TABLE = "backbone.embeddings.word_embeddings.weight"


@pytest.fixture
def compacted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Tables of any size are compacted; gives what each stage got."""
    made: list[Any] = []

    def kept(*args: Any) -> Any:
        made.append(embedding.compact_table(*args))
        return made[-1]

    monkeypatch.setattr(embedding, "_WORTH_IT", 1)
    monkeypatch.setattr(setup, "compact_table", kept)
    return made


def whole(bench: Any, part: Any, **settings: Any) -> dict[str, torch.Tensor]:
    return weights(train(bench.job(part, **settings)))


def weights(result: Any) -> dict[str, torch.Tensor]:
    return {name: tensor.detach() for name, tensor in result.net.named_parameters()}


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": AdamW(type="adamw", lr=1e-2, weight_decay=0.1)},
        {
            "optimizer": AdamW(type="adamw", lr=1e-2, weight_decay=0.1),
            "techniques": [LayerwiseDecay(type="layerwise-decay", rate=0.5)],
        },
        {"optimizer": Adam(type="adam", lr=1e-2), "techniques": [EMA(type="ema")]},
        {"optimizer": SGD(type="sgd", lr=0.1, momentum=0.9), "clip": 0.5, "techniques": [FGM(type="fgm")]},
        {"optimizer": SGD(type="sgd", lr=0.1), "micro_batch": 5},
    ],
    ids=["decay", "layerwise", "ema", "fgm", "micro-batches"],
)  # fmt: skip
def test_it_ends_with_the_weights_of_the_whole_table(
    bert: Any, make_rows: Any, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch, compacted: list[Any]
) -> None:
    part = (bert.objective("classification"), make_rows(64))
    small = whole(bert, part, epochs=3, **settings)
    assert len(compacted[0].rows) < 40
    monkeypatch.setattr(setup, "compact_table", lambda *_: None)
    full = whole(bert, part, epochs=3, **settings)
    assert small.keys() == full.keys()
    assert small[TABLE].shape == full[TABLE].shape
    for name, tensor in full.items():
        torch.testing.assert_close(small[name], tensor, rtol=1e-4, atol=1e-6)
    unmet = sorted(set(range(len(full[TABLE]))) - set(compacted[0].rows.tolist()))
    start = whole(bert, part, epochs=0.25, optimizer=SGD(type="sgd", lr=1e-30))[TABLE]
    moved = not torch.equal(full[TABLE][unmet], start[unmet])
    assert moved == (settings["optimizer"].type == "adamw"), "decay alone moves rows that are never met"


def test_validation_meets_the_other_rows(bert: Any, make_rows: Any, compacted: list[Any]) -> None:
    part = (bert.objective("classification"), {"text": ["good film", "bad film"] * 32, "label": ["pos", "neg"] * 32})
    other = make_rows(120, seed=3)
    result = train(bert.job(part, validation=other, epochs=2))
    assert len(compacted[0].rows) < 10
    assert [point["validation"] for point in result.history if "validation" in point]
    assert result.best_step


@pytest.mark.parametrize("kind", ["masked-lm", "reinit", "decay and average", "penalty"])
def test_where_it_would_not_be_the_same_the_table_stays_whole(
    bert: Any, make_rows: Any, compacted: list[Any], kind: str
) -> None:
    parts = [(bert.objective("classification"), make_rows(48))]
    settings: dict[str, Any] = {}
    if kind == "masked-lm":
        parts.append((bert.objective("masked-lm"), make_rows(48, seed=1)))
    if kind == "reinit":
        settings["techniques"] = [Reinit(type="reinit", layers=1)]
    if kind == "decay and average":
        settings |= {"optimizer": AdamW(type="adamw", lr=1e-3, weight_decay=0.1), "techniques": [EMA(type="ema")]}
    if kind == "penalty":
        settings["optimizer"] = SGD(type="sgd", lr=0.1, weight_decay=0.1)
    train(bert.job(*parts, epochs=0.5, **settings))
    assert compacted == [None]


def test_a_killed_stage_continues_with_it(bert: Any, make_rows: Any, compacted: list[Any], survives: Any) -> None:
    part = (bert.objective("classification"), make_rows(64))
    settings = {
        "epochs": 3,
        "optimizer": AdamW(type="adamw", lr=1e-2, weight_decay=0.1),
        "validation": make_rows(120, seed=3),
        "checkpoint_minutes": 0,
    }
    survives(lambda work: bert.job(part, work=work, **settings), 3, 7)
    assert all(compacted)


def test_a_net_that_is_moved_takes_the_table_along(bert: Any, make_rows: Any, compacted: list[Any]) -> None:
    """The loop moves the net to its device once it is built; the meta device stands for a GPU."""
    job = bert.job((bert.objective("classification"), make_rows(32)))
    net = job.model.build(job.start, job.preprocessor, job.heads)
    table = embedding.compact_table(net, job.stage, job.streams)
    assert table is not None
    net.to("meta")
    table.follow()  # a GPU's weights are the same objects as before, those of the meta device are not
    ids = torch.zeros(2, 3, dtype=torch.long, device="meta")
    assert table.layer(ids).device.type == "meta"
    with table.whole():
        assert table.layer.weight.device.type == "meta"
        assert table.layer(ids).shape == (2, 3, table.layer.embedding_dim)


def test_a_table_that_two_layers_read_stays_whole(bert: Any, make_rows: Any, compacted: list[Any]) -> None:
    job = bert.job((bert.objective("classification"), make_rows(32)))
    net = job.model.build(job.start, job.preprocessor, job.heads)
    net.second = torch.nn.Embedding.from_pretrained(net.embedding().weight, freeze=False)
    net.second.weight = net.embedding().weight
    assert embedding.compact_table(net, job.stage, job.streams) is None
