"""What a stage does step by step: partial batches, rates, weights, validation, and stopping at what is not finite."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from hft_core import Loss, NonFiniteError
from hft_core.training import loop
from hft_core.training.loop import train
from hft_plugins.optimizers.schedules import Constant, Cosine, Linear
from hft_plugins.optimizers.torch_optimizers import AdamW
from hft_plugins.text_classification.objective import Classification


def equal(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return set(left) == set(right) and all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize(("rows", "epochs", "steps"), [(17, 1, 2), (17, 3, 6), (16, 1, 1), (5, 1, 1), (40, 1.34, 4)])
def test_the_last_partial_batch_is_stepped(
    bert: Any, make_rows: Any, monkeypatch: pytest.MonkeyPatch, rows: int, epochs: float, steps: int
) -> None:
    counts: list[int] = []
    count = Classification.count

    def counted(self: Any, batch: Any) -> int:
        counts.append(count(self, batch))
        return counts[-1]

    job = bert.job((bert.objective("classification"), make_rows(rows)), epochs=epochs, micro_batch=16)
    monkeypatch.setattr(loop._Stage, "dry_run", lambda self: None)
    monkeypatch.setattr(Classification, "count", counted)
    result = train(job)
    assert result.steps == steps
    if epochs == int(epochs):
        assert sum(counts) == rows * epochs


@pytest.mark.parametrize("schedule", [Constant, Linear, Cosine])
def test_schedules_warm_up_and_decay(schedule: Any) -> None:
    kind = schedule.model_fields["type"].annotation.__args__[0]
    made = schedule(type=kind, warmup=0.1)
    factors = [made.factor(step, 100) for step in range(100)]
    assert factors[:10] == pytest.approx([(step + 1) / 11 for step in range(10)])
    assert factors[10] == 1.0  # the peak follows the warm-up
    assert all(later <= earlier + 1e-12 for earlier, later in pairwise(factors[10:]))
    assert all(0 < factor <= 1 for factor in factors)  # no step is wasted on a rate of 0
    expected = {
        "constant": [1.0] * 90,
        "linear": [1 - step / 90 for step in range(90)],
        "cosine": [0.5 * (1 + math.cos(math.pi * step / 90)) for step in range(90)],
    }[kind]
    assert factors[10:] == pytest.approx(expected)
    assert schedule(type=kind, warmup=5).factor(4, 100) == pytest.approx(5 / 6)  # from 1 on they are steps
    assert schedule(type=kind, warmup=0).factor(0, 100) == 1.0


def test_a_warm_up_longer_than_the_stage_does_no_harm() -> None:
    made = Linear(type="linear", warmup=50)
    assert [made.factor(step, 10) for step in range(10)] == pytest.approx([(step + 1) / 51 for step in range(10)])


def test_each_step_uses_the_rate_of_the_schedule(bert: Any, make_rows: Any) -> None:
    rates: list[float] = []
    job = bert.job(
        (bert.objective("classification"), make_rows(80)), schedule=Linear(type="linear", warmup=2), epochs=2
    )
    job.advance = lambda step, steps, figures: rates.append(figures["lr"])
    train(job)
    assert rates == pytest.approx([0.1 * Linear(type="linear", warmup=2).factor(step, 10) for step in range(10)])


def test_weight_decay_spares_biases_and_normalisation(bert: Any, make_rows: Any, parameters_of: Any) -> None:
    """With a loss of next to no weight the gradients vanish, so decay alone moves weights."""
    start = bert.weights()
    optimizer = AdamW(type="adamw", lr=0.1, weight_decay=0.5)
    job = bert.job((bert.objective("classification", weight=1e-30), make_rows(16)), optimizer=optimizer)
    after = parameters_of(train(job).net)
    for name, weight in after.items():
        factor = 0.95 if weight.ndim >= 2 else 1.0
        assert torch.allclose(weight, factor * start[name], rtol=1e-6, atol=1e-20), name


def with_dropout(bench: Any) -> Any:
    """Start a fresh model, which has dropout."""
    return {"start": None, "optimizer": AdamW(type="adamw", lr=1e-3), "seed": 4}


def test_a_stage_repeats_bit_for_bit_whatever_the_state_of_torch(bert: Any, make_rows: Any, parameters_of: Any) -> None:
    columns = make_rows(40)
    found = []
    for noise in (0, 1):
        torch.manual_seed(noise)
        found.append(parameters_of(train(bert.job((bert.objective("masked-lm"), columns), **with_dropout(bert))).net))
    assert equal(*found)
    other = with_dropout(bert) | {"seed": 5}
    assert not equal(found[0], parameters_of(train(bert.job((bert.objective("masked-lm"), columns), **other)).net))


def test_evaluation_does_not_disturb_training(bert: Any, make_rows: Any, parameters_of: Any) -> None:
    columns, validation = make_rows(40), make_rows(60, seed=9)  # under 100 rows: no best, so the last weights are kept
    parts = (bert.objective("classification"), columns)
    plain = train(bert.job(parts, epochs=3, **with_dropout(bert)))
    watched = train(bert.job(parts, epochs=3, validation=validation, **with_dropout(bert)))
    assert [point for point in watched.history if "accuracy" in point.get("validation", {})]
    assert equal(parameters_of(plain.net), parameters_of(watched.net))


def test_evaluation_may_draw_as_it_likes(
    bert: Any, make_rows: Any, parameters_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A metric, say, that samples: from every generator there is, and that leaves them anywhere."""
    parts = [(bert.objective("classification"), make_rows(40)), (bert.objective("masked-lm"), make_rows(40, seed=3))]
    plain = train(bert.job(*parts, epochs=2, **with_dropout(bert)))
    measure, drawn = loop.measure, []

    def draws(*args: Any) -> Any:
        drawn.append(float(torch.rand(1)) + float(np.random.random()) + random.random())
        torch.manual_seed(len(drawn))
        return measure(*args)

    monkeypatch.setattr(loop, "measure", draws)
    disturbed = train(bert.job(*parts, epochs=2, **with_dropout(bert)))
    assert len(drawn) == 2
    assert equal(parameters_of(plain.net), parameters_of(disturbed.net))


def test_the_best_epoch_is_kept(bert: Any, make_rows: Any, parameters_of: Any) -> None:
    """A rate that explodes in the second half: the best is before, and is what comes out."""

    class Explodes(Constant):
        def factor(self, step: int, steps: int) -> float:
            return 1.0 if step < steps // 2 else 1e4

    columns, validation = make_rows(64), make_rows(120, seed=9)
    parts = (bert.objective("classification"), columns)
    result = train(
        bert.job(parts, epochs=4, validation=validation, schedule=Explodes(type="constant"), start=bert.start)
    )
    scores = {p["step"]: p["validation"]["accuracy"] for p in result.history if "validation" in p}
    assert result.best_step == min(step for step, score in scores.items() if score == max(scores.values()))
    assert result.best_step <= 8
    until = train(bert.job(parts, epochs=result.best_step / 4, schedule=Constant(type="constant")))
    assert equal(parameters_of(until.net), parameters_of(result.net))


def test_two_batch_check_leaves_no_trace(
    bert: Any, make_rows: Any, parameters_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = (bert.objective("classification"), make_rows(40))
    checked = parameters_of(train(bert.job(parts, **with_dropout(bert))).net)
    monkeypatch.setattr(loop._Stage, "dry_run", lambda self: None)
    assert equal(checked, parameters_of(train(bert.job(parts, **with_dropout(bert))).net))


# ---- joint stages ----


def test_a_joint_stage_trains_both_heads_on_one_backbone(bert: Any, make_rows: Any, parameters_of: Any) -> None:
    parts = [(bert.objective("classification"), make_rows(32)), (bert.objective("masked-lm"), make_rows(60, seed=3))]
    start = bert.weights(None, "main", "masked-lm")
    net = train(bert.job(*parts, optimizer=AdamW(type="adamw", lr=1e-3))).net
    heads = {name: net.heads[name] for name in ("main", "masked-lm")}
    shared = {name: dict(head.base_model.named_parameters()) for name, head in heads.items()}
    assert shared["main"]
    for name, parameter in net.backbone.named_parameters():
        assert shared["main"][name] is parameter
        assert shared["masked-lm"][name] is parameter
    embeddings = net.backbone.get_input_embeddings().weight
    assert heads["masked-lm"].get_output_embeddings().weight is embeddings  # tied, as the library ties it
    after = parameters_of(net)
    still = [name for name, weight in after.items() if torch.equal(weight, start[name])]
    # The second half of a pair never occurs, and no text is as long as the last positions.
    assert still == []


@pytest.mark.parametrize("family", ["bert", "gpt"])
def test_an_objective_of_weight_zero_changes_nothing(
    benches: Any, make_rows: Any, parameters_of: Any, family: str
) -> None:
    """Bitwise: dropout is seeded per objective, the heads are built in order, and adding 0 to a gradient is exact.

    Without clipping, that is: the norm sums over the silent head's zeros too, in another order, so its last bit differs.
    """
    bench = benches[family]
    language = {"bert": "masked-lm", "gpt": "causal-lm"}[family]
    task = (bench.objective("classification"), make_rows(40))
    silent = (bench.objective(language, weight=0.0), make_rows(60, seed=3))
    settings = with_dropout(bench) | {"epochs": 2, "clip": None}
    alone = parameters_of(train(bench.job(task, **settings)).net)
    joint = parameters_of(train(bench.job(task, silent, **settings)).net)
    assert {name for name in joint if name not in alone} == {
        n for n in joint if n.startswith(f"_heads.head_{language}.")
    }
    for name, weight in alone.items():
        assert torch.equal(weight, joint[name]), name


def test_the_first_objective_sets_the_length(bert: Any, make_rows: Any) -> None:
    short, long = make_rows(20), make_rows(200, seed=1)
    task, text = bert.objective("classification"), bert.objective("masked-lm")
    assert train(bert.job((task, short), (text, long), epochs=2)).steps == 4
    assert train(bert.job((text, long), (task, short), epochs=1)).steps == 12  # 180 rows without the held-out ones


# ---- not finite ----


def broken(bench: Any, columns: Any, healthy: int, spoil: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """A job whose loss is spoilt once it has been computed `healthy` times."""
    calls = 0

    class Broken(Classification):
        def loss(self, net: Any, batch: Any) -> Loss:
            nonlocal calls
            calls += 1
            result = super().loss(net, batch)
            return Loss(spoil(result.sum), result.outputs) if calls > healthy else result

    return bench.job((Broken(type="classification", data="train", task="main"), columns))


SPOILS = {
    "nan": lambda loss: loss * math.nan,
    "infinite": lambda loss: loss * math.inf,
    "infinite with finite gradients": lambda loss: loss + math.inf,
    "finite with infinite gradients": lambda loss: loss.detach() + (loss - loss.detach()) * math.inf,
}


@pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS)
def test_what_is_not_finite_stops_before_the_step(
    bert: Any, make_rows: Any, parameters_of: Any, monkeypatch: pytest.MonkeyPatch, spoil: Any
) -> None:
    stages: list[Any] = []
    make = loop._Stage.__init__

    def kept(self: Any, job: Any) -> None:
        make(self, job)
        stages.append(self)

    monkeypatch.setattr(loop._Stage, "__init__", kept)
    columns = make_rows(64)
    job = broken(bert, columns, healthy=2 + 2, spoil=spoil)  # the check of two batches, and two steps
    with pytest.raises(NonFiniteError, match="step 3") as caught:
        train(job)
    assert caught.value.exit_code == 5
    text = str(caught.value)
    own = job.streams[0].rows(2)
    assert "classification" in text
    assert own.startswith("lines train ")
    assert own in text
    two = train(bert.job((bert.objective("classification"), columns), epochs=0.5))
    assert two.steps == 2
    assert equal(parameters_of(stages[0].net), parameters_of(two.net))


def test_rows_of_a_second_source_are_named_as_in_their_file(bert: Any, make_rows: Any) -> None:
    """Row numbers in an error are for people: those of the source, with its name, not offset by 2 to the 40."""
    from hft_core.data.table import ROW, VARIANT, write_table
    from hft_core.training.encoding import encode_files
    from hft_core.training.streams import LiveStream

    objective = bert.objective("masked-lm", data=["corpus", "train"])
    files = []
    for name in ("corpus", "train"):
        files.append(bert.folder / f"{name}.arrow")
        write_table(files[-1], [make_rows(20) | {ROW: list(range(1, 21)), VARIANT: [0] * 20}])
    context = bert.context(objective)
    shards = list(encode_files(objective, files, [context, context]))
    stream = LiveStream.open(objective, "masked-lm", context, shards, 64, 0, 0)
    first, more = stream.rows(0).removeprefix("lines ").split(" and ")
    named = [name.split() for name in first.split(", ")]
    assert len(named) == 8
    assert more == "28 more"  # 36 of 40 rows are trained on
    assert {source for source, _ in named} <= {"corpus", "train"}
    assert all(1 <= int(line) <= 20 for _, line in named)


def test_the_check_before_step_one_names_objective_and_rows(bert: Any, make_rows: Any) -> None:
    with pytest.raises(NonFiniteError, match=r"classification.*rows?\b.*\d"):
        train(broken(bert, make_rows(64), healthy=0, spoil=SPOILS["nan"]))
