"""The strategy in effect is the one asked for, or the stage does not begin."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import accelerate.utils.fsdp_utils as accelerates
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType

from hft_core import Context, Net, Part, PluginError, RecipeError, Technique
from hft_core.training.processes import Processes
from hft_core.training.sharding import Built, Placed, Sharded, place


class TwoLayers(Net):
    """A net with layers to shard."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = torch.nn.ModuleList(torch.nn.TransformerEncoderLayer(8, 2, 16) for _ in range(2))
        self.head = torch.nn.Linear(8, 3)

    def forward(self, head: str, **arrays: torch.Tensor) -> dict[str, torch.Tensor]:
        rows = arrays["rows"]
        for layer in self.layers:
            rows = layer(rows)
        return {"logits": self.head(rows)}

    def parts(self) -> list[Part]:
        layers = [Part(f"layer.{i}", (i + 1) / 3, "layer", layer) for i, layer in enumerate(self.layers)]
        return [*layers, Part("head", 1.0, "head", self.head)]

    def save(self, folder: Path) -> None: ...


class Keeper(Technique):
    """Keeps parameters themselves."""

    type: Literal["keeper"]

    def prepare(self, net: Net, context: Context) -> dict[str, Any]:
        return {"kept": list(net.parameters())}


@pytest.fixture
def accelerator() -> Iterator[Accelerator]:
    """One process that is its own group."""
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    AcceleratorState._reset_state()
    yield Accelerator(cpu=True)
    AcceleratorState._reset_state()
    torch.distributed.destroy_process_group()


def sharded(accelerator: Accelerator, *techniques: Technique) -> Sharded:
    def build() -> Built:
        net = TwoLayers()
        return Built(net, [(technique, technique.prepare(net, Context(1, 0, {}, None))) for technique in techniques])

    return Sharded(accelerator, Processes(accelerator), build)


def test_every_parameter_is_sharded_each_layer_by_itself(accelerator: Accelerator) -> None:
    from torch.distributed.fsdp import FSDPModule
    from torch.distributed.tensor import DTensor

    placed = sharded(accelerator)
    assert all(isinstance(parameter, DTensor) for parameter in placed.built.net.parameters())
    units = [name for name, module in placed.trained.named_modules() if isinstance(module, FSDPModule)]
    assert units == ["", "net.layers.0", "net.layers.1"]
    rows = torch.rand(4, 5, 8)
    with placed.measured() as net, torch.no_grad():
        assert not any(isinstance(parameter, DTensor) for parameter in net.parameters())
        assert torch.equal(net("head", rows=rows)["logits"], TwoLayers().eval()("head", rows=rows)["logits"])


def test_what_is_not_sharded_is_refused(accelerator: Accelerator, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where accelerate, asked for FSDP on a CPU, makes DDP of it and says nothing."""
    monkeypatch.setattr(accelerates, "fsdp2_prepare_model", lambda accelerator, model: model)
    with pytest.raises(PluginError, match=r"strategy fsdp: 26 parameters are not sharded, such as layers\.0"):
        sharded(accelerator)


def test_a_technique_that_keeps_parameters_is_refused(accelerator: Accelerator) -> None:
    with pytest.raises(PluginError, match=r"technique keeper: it keeps the parameter layers\.0"):
        sharded(accelerator, Keeper(type="keeper"))


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_other_plans_of_accelerate_are_refused(strategy: Any) -> None:
    configured: Any = SimpleNamespace(distributed_type=DistributedType.FSDP)
    with pytest.raises(
        RecipeError, match="accelerate has been configured for FSDP, and the recipe's `strategy` decides"
    ):
        place(strategy, configured, None, None)  # type: ignore[arg-type]  # it does not come to them


def test_one_process_has_nothing_to_shard() -> None:
    AcceleratorState._reset_state()
    accelerator = Accelerator(cpu=True)
    placed = place("fsdp", accelerator, Processes(accelerator), lambda: Built(TwoLayers(), []))
    assert type(placed) is Placed
