"""Masks of dropout: their share, their seed, and that nothing of torch is changed outside of training."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import dropout, scaled_dot_product_attention

from hft_core.training.dropout import fast_masks


def drawn(p: float, shape: tuple[int, ...] = (200, 500), seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed)
    return torch.empty(shape).bernoulli_(p)


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_share_is_the_one_asked_for(p: float, dtype: torch.dtype) -> None:
    torch.manual_seed(1)
    with fast_masks():
        mask = torch.empty(1000, 1000, dtype=dtype).bernoulli_(p)
    assert set(mask.unique().tolist()) == ({0.0, 1.0} if 0 < p < 1 else {p})
    share = float(mask.float().mean())
    assert abs(share - p) <= 5 * (p * (1 - p) / 1e6) ** 0.5 + 2**-16
    columns = mask.float().mean(0)  # independent along both axes: no stripe is denser than chance makes it
    assert float((columns - p).abs().max()) <= 6 * (p * (1 - p) / 1e3) ** 0.5 + 2**-16


def test_the_seed_decides_and_passes_differ() -> None:
    with fast_masks():
        assert torch.equal(drawn(0.5), drawn(0.5))
        assert not torch.equal(drawn(0.5), drawn(0.5, seed=1))
        torch.manual_seed(0)
        assert not torch.equal(torch.empty(64).bernoulli_(0.5), torch.empty(64).bernoulli_(0.5))
        threads = torch.get_num_threads()
        alone = drawn(0.5)
        torch.set_num_threads(1 if threads > 1 else 2)
        try:
            assert torch.equal(alone, drawn(0.5))
        finally:
            torch.set_num_threads(threads)


def test_every_shape_and_layout_is_filled() -> None:
    with fast_masks():
        for shape in ((), (0,), (1,), (3, 0), (7, 5), (2, 3, 5)):
            assert set(torch.full(shape, 9.0).bernoulli_(0.5).unique().tolist()) <= {0.0, 1.0}
        across = torch.full((6, 8), 9.0).t()
        assert set(across.bernoulli_(0.5).unique().tolist()) == {0.0, 1.0}


def test_dropout_and_attention_use_it_and_keep_the_mean() -> None:
    ones = torch.ones(400, 400, requires_grad=True)
    torch.manual_seed(0)
    with fast_masks():
        kept = dropout(ones, 0.1)
        kept.sum().backward()  # type: ignore[no-untyped-call]
        value = torch.ones(2, 2, 64, 8)
        attended = scaled_dot_product_attention(torch.zeros_like(value), torch.zeros_like(value), value, dropout_p=0.1)
    assert abs(float(kept.mean()) - 1) < 0.01
    assert ones.grad is not None
    assert torch.equal(ones.grad != 0, kept != 0)
    assert abs(float(attended.mean()) - 1) < 0.02
    assert float(attended.std()) > 0.01


def test_outside_of_training_torch_draws_as_ever() -> None:
    before = drawn(0.3)
    with fast_masks():
        inside = drawn(0.3)
    assert torch.equal(before, drawn(0.3))
    assert not torch.equal(before, inside)
    with pytest.raises(ZeroDivisionError), fast_masks():
        raise ZeroDivisionError
    assert torch.equal(before, drawn(0.3))
