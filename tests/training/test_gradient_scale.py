"""One SGD step: the update is the one that plain torch computes row by row, weighted and clipped as the recipe says.

That it is the same for any micro-batch and any number of processes stands in tests/contract/test_gradient_scale.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import transformers

from hft_core import Ramp
from hft_core.training.loop import train
from hft_plugins.optimizers.torch_optimizers import SGD

CASES = [("bert", "classification"), ("bert", "masked-lm"), ("gpt", "classification"), ("gpt", "causal-lm")]
RATE = 100.0  # so that the update is large beside the rounding of the weights


def updates(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: after[name] - before[name] for name in before}


def assert_same(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    """Within 1e-4 relative: each tensor by its own size, but not below a thousandth of the whole update's."""
    assert set(found) == set(wanted)
    whole = max(float(update.abs().max()) for update in wanted.values())
    assert whole > 1e-4  # something moved
    for name, update in wanted.items():
        size = max(float(update.abs().max()), 1e-3 * whole)
        assert float((found[name] - update).abs().max()) <= 1e-4 * size, name


def one_step(bench: Any, kind: str, columns: Any, parameters_of: Any, **settings: Any) -> dict[str, torch.Tensor]:
    result = train(bench.job((bench.objective(kind), columns), optimizer=SGD(type="sgd", lr=RATE), **settings))
    assert result.steps == 1
    start = bench.weights(None, "main" if kind == "classification" else kind)
    return updates(start, parameters_of(result.net))


@pytest.mark.parametrize(("family", "kind"), CASES)
def test_the_update_is_that_of_plain_torch(
    benches: Any, make_rows: Any, parameters_of: Any, family: str, kind: str
) -> None:
    bench = benches[family]
    columns = make_rows(110 if kind == "causal-lm" else 17, longest=25)
    optimizer = SGD(type="sgd", lr=RATE)
    whole = {"boundaries": False} if kind == "causal-lm" else {}  # each block is one text, as it is to plain torch
    job = bench.job((bench.objective(kind, **whole), columns), micro_batch=4, epochs=1e-6, optimizer=optimizer)
    stream = job.streams[0]
    [(_, batch)] = stream.micro_batches(0, 16)

    auto, name = {
        "classification": (transformers.AutoModelForSequenceClassification, "main"),
        "masked-lm": (transformers.AutoModelForMaskedLM, "masked-lm"),
        "causal-lm": (transformers.AutoModelForCausalLM, "causal-lm"),
    }[kind]
    net = bench.model.build(bench.start, bench.preprocessor, {name: bench.head(stream)})
    before = parameters_of(net)
    model = net.heads[name]
    assert isinstance(model, type(auto.from_config(model.config)))
    total = torch.zeros(())
    count = 0
    width = batch["input_ids"].shape[1]
    for row in range(len(batch["input_ids"])):  # one by one, without padding
        length = int(batch["attention_mask"][row].sum())
        inputs = {
            key: torch.from_numpy(batch[key][row : row + 1, :length])
            for key in ("input_ids", "token_type_ids")
            if key in batch
        }
        logits = model(**inputs).logits[0]
        if kind == "classification":
            logits, targets = logits[None], batch["labels"][row : row + 1]
        elif kind == "masked-lm":
            own = batch["positions"] // width == row
            logits, targets = logits[batch["positions"][own] % width], batch["targets"][own]
        else:
            logits, targets = logits[:-1], batch["input_ids"][row, 1:length]
        log_odds = logits - logits.exp().sum(1, keepdim=True).log()  # cross-entropy, written out
        total = total - log_odds[torch.arange(len(targets)), torch.from_numpy(np.asarray(targets))].sum()
        count += len(targets)
    (total / count).backward()  # type: ignore[no-untyped-call]
    wanted = {
        key: -RATE * (parameter.grad if parameter.grad is not None else torch.zeros_like(parameter))
        for key, parameter in net.named_parameters()
    }
    found = updates(before, parameters_of(train(job).net))
    assert_same(found, wanted)


def test_each_objective_is_divided_by_its_own_count_then_weighted(
    bert: Any, make_rows: Any, parameters_of: Any
) -> None:
    task, text = make_rows(16), make_rows(17, seed=5)
    start = bert.weights(None, "main", "masked-lm")

    def moved(*weights: float, micro: int = 16) -> dict[str, torch.Tensor]:
        parts = [
            (bert.objective("classification", weight=weights[0]), task),
            (bert.objective("masked-lm", weight=weights[1]), text),
        ]
        job = bert.job(*parts, micro_batch=micro, optimizer=SGD(type="sgd", lr=RATE))
        return updates(start, parameters_of(train(job).net))

    alone, other, both = moved(1.0, 0.0), moved(0.0, 1.0), moved(0.5, 2.0, micro=3)
    assert_same(both, {name: 0.5 * alone[name] + 2.0 * other[name] for name in both})


def test_a_ramp_gives_its_first_weight_at_the_first_step_and_its_last_at_the_last(bert: Any, make_rows: Any) -> None:
    ramp = Ramp.model_validate({"from": 0.4, "to": 0.1})
    job = bert.job((bert.objective("masked-lm", weight=ramp), make_rows(40)))
    stream = job.streams[0]
    assert stream.weight(0.0) == 0.4
    assert stream.weight(1.0) == pytest.approx(0.1)
    assert stream.weight(0.5) == pytest.approx(0.25)


def test_a_ramp_scales_each_step(bert: Any, make_rows: Any, parameters_of: Any) -> None:
    """The last of two steps has weight 0, so it changes nothing; the first has weight 1."""
    columns = make_rows(32)
    ramp = bert.objective("classification", weight={"from": 1.0, "to": 0.0})
    two = train(bert.job((ramp, columns)))
    assert two.steps == 2
    one = train(bert.job((bert.objective("classification"), columns), epochs=0.5))
    assert one.steps == 1
    for name, weight in parameters_of(one.net).items():
        assert torch.equal(weight, parameters_of(two.net)[name]), name


def test_clipping_bounds_the_norm_and_keeps_the_direction(bert: Any, make_rows: Any, parameters_of: Any) -> None:
    columns = make_rows(16)
    free = one_step(bert, "classification", columns, parameters_of)
    norm = float(torch.cat([update.flatten() for update in free.values()]).norm()) / RATE
    clipped = one_step(bert, "classification", columns, parameters_of, clip=norm / 4)
    assert_same(clipped, {name: update / 4 for name, update in free.items()})
    loose = one_step(bert, "classification", columns, parameters_of, clip=norm * 4)
    assert all(torch.equal(loose[name], free[name]) for name in free)
