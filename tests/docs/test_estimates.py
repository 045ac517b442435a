"""The estimates of docs/distributed.md are those of its script, and the script's formulas those of real nets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from ..loading import module_at

FILE = Path(__file__).parents[2] / "docs" / "estimates.py"


@pytest.fixture(scope="module")
def estimates() -> Any:
    return module_at(FILE)


def test_the_page_has_the_numbers_of_the_script(estimates: Any) -> None:
    assert estimates.PAGE.read_text("utf-8") == estimates.page(), "run `python docs/estimates.py`"


@pytest.mark.parametrize(
    ("place", "config"),
    [
        (0, transformers.BertConfig()),
        (1, transformers.GPT2Config(n_layer=24, n_embd=1024, n_head=16)),
        (2, transformers.GPT2Config(n_layer=24, n_embd=2048, n_head=16, n_positions=2048)),
        (3, transformers.LlamaConfig()),
    ],
)
def test_sizes_are_those_of_real_nets(estimates: Any, place: int, config: Any) -> None:
    auto = transformers.AutoModelForCausalLM if place else transformers.AutoModel
    with torch.device("meta"):
        net = auto.from_config(config)
    assert estimates.SIZES[place].parameters == pytest.approx(net.num_parameters(), rel=0.01)


def test_bytes_of_weights_gradients_and_moments_are_those_of_torch(estimates: Any) -> None:
    net = torch.nn.Linear(300, 200)
    optimizer = torch.optim.AdamW(net.parameters())
    net(torch.rand(2, 300)).sum().backward()
    optimizer.step()
    count = sum(parameter.numel() for parameter in net.parameters())
    moments = [value for state in optimizer.state.values() for name, value in state.items() if name != "step"]
    held = [*net.parameters(), *(parameter.grad for parameter in net.parameters()), *moments]
    bytes_held = sum(tensor.numel() * tensor.element_size() for tensor in held)
    assert bytes_held == (estimates.WEIGHT + estimates.GRADIENT + estimates.MOMENTS) * count


def test_shards_shrink_with_processes_towards_what_is_put_together(estimates: Any) -> None:
    for size in estimates.SIZES:
        many = [estimates.fsdp_bytes(size, processes) for processes in (1, 2, 8, 64)]
        assert many == sorted(many, reverse=True)
        share = (many[0] - many[2]) / (estimates.WEIGHT + estimates.GRADIENT + estimates.MOMENTS)
        assert share == pytest.approx(size.parameters * 7 / 8)


def test_throughput_is_the_share_of_the_peak(estimates: Any) -> None:
    size = estimates.SIZES[0]
    rate = estimates.tokens_per_second(size, 1e12, mfu=0.5)
    assert rate * 6 * size.parameters == pytest.approx(0.5e12)
