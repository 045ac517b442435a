"""How a stage's weights lie over its processes: whole in each (`ddp`), or a shard in each (`fsdp`).

Sharded are the weights, their gradients and the optimizer's state (FSDP2 by accelerate, on torch's `fully_shard`): each
process keeps a share of every parameter, a layer is put together while it is computed. What leaves the stage is whole and
in fp32, as it is without shards: checkpoints, the best weights, the finished model, and the copy that is measured.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Literal, NamedTuple

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType

from hft_core.components import Technique
from hft_core.components.net import Net
from hft_core.errors import PluginError, RecipeError
from hft_core.training.embedding import CompactTable
from hft_core.training.module import Forward
from hft_core.training.processes import Processes

Strategy = Literal["ddp", "fsdp"]
Prepared = Sequence[tuple[Technique, Any]]


class Built(NamedTuple):
    """A stage's net as it is trained."""

    net: Net
    techniques: Prepared
    """The techniques that prepared it, with their states."""
    table: CompactTable | None = None
    """Its embedding table, where that has only the rows that the stage can meet."""

    def whole(self) -> AbstractContextManager[None]:
        """Give a context in which the table has all its rows."""
        return self.table.whole() if self.table else nullcontext()


Build = Callable[[], Built]
"""Makes the stage's net, the same each time."""


def place(strategy: Strategy, accelerator: Accelerator, processes: Processes, build: Build) -> Placed:
    """Build a stage's net and place it. With one process there is nothing to shard.

    Raises RecipeError where accelerate has been told to do something else, and PluginError where a net or a technique
    cannot be sharded.
    """
    _refuse_other_engines(accelerator, strategy)
    if strategy == "fsdp" and processes.count > 1:
        return Sharded(accelerator, processes, build)
    return Placed(accelerator, processes, build)


class Placed:
    """The net on this process's device, whole; gradients are added up over the processes at the end of a step."""

    even: bool = False
    """Whether all processes have to run the same number of passes."""

    def __init__(self, accelerator: Accelerator, processes: Processes, build: Build):
        self.accelerator, self.processes = accelerator, processes
        self.built = build()
        # Only the wrapper runs in mixed precision; evaluation calls the net itself, in fp32. In "evaluation mode",
        # accelerate adds no data parallelism of its own: see processes.
        self.trained: Forward = accelerator.prepare_model(Forward(self.built.net), evaluation_mode=True)

    def add_gradients(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Give every process the sum of all gradients; called once per step, behind the last backward pass."""
        self.processes.add_gradients(parameters)

    def clip(self, parameters: Sequence[torch.nn.Parameter], limit: float) -> float:
        """Clip the norm of the gradient over all parameters, wherever their shards lie; gives the norm before."""
        from torch.distributed.tensor import DTensor

        total = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        if isinstance(total, DTensor):
            total = total.full_tensor()
        norm = float(total)
        if norm > limit:  # torch would go through all gradients, to multiply them by 1
            torch.nn.utils.clip_grads_with_norm_(parameters, limit, total)
        return norm

    def whole(self, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Give tensors that are as large as the parameters they belong to; all processes call it together."""
        return dict(tensors)

    def placed(self, tensors: Mapping[str, torch.Tensor], parameters: Sequence[torch.nn.Parameter]) -> dict[str, Any]:
        """The opposite, for tensors of a checkpoint: each as the parameter lies that it belongs to."""
        return dict(tensors)

    @contextmanager
    def measured(self) -> Iterator[Net]:
        """Give the net for evaluation, whole and in fp32."""
        with self.built.whole():
            self.built.net.eval()
            try:
                yield self.built.net
            finally:
                self.built.net.train()

    def finished(self, final: Mapping[str, torch.Tensor]) -> tuple[Net, Prepared]:
        """Give the net with these weights, in the form in which it is saved, in evaluation mode, with its techniques."""
        return _finished(self.built, final)


class Sharded(Placed):
    """A share of every parameter here, the others in the other processes.

    FSDP2 takes the mean of gradients over processes; here it is told to add them up, for the loop divides by counts over
    all of them. With bf16, layers are put together in bf16 and gradients are added up in fp32.
    """

    even = True

    def __init__(self, accelerator: Accelerator, processes: Processes, build: Build):
        self._build = build
        self._copy: Built | None = None
        self.accelerator, self.processes = accelerator, processes
        self.built = build()
        net = self.built.net
        self.trained = accelerator.prepare_model(
            Forward(net, copies=True), device_placement=False, evaluation_mode=True
        )
        before = {name: weakref.ref(parameter) for name, parameter in net.named_parameters()}
        _shard(self.trained, net, accelerator)
        self._assert_sharded()
        self._refuse_keepers(before)
        if self.built.table:
            self.built.table.follow()
        for technique, state in self.built.techniques:
            technique.load(state, self.placed(technique.tensors(state), []))

    def add_gradients(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Nothing is left to add: each backward pass did."""
        self._take_apart()

    def whole(self, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Put them together on the CPU, one after the other; only the first process keeps them."""
        from torch.distributed.tensor import DTensor

        kept = {}
        for name, tensor in tensors.items():
            full = tensor.detach()
            if isinstance(full, DTensor):
                full = full.full_tensor()
            if self.processes.first:
                kept[name] = full.cpu()
        return kept

    def placed(self, tensors: Mapping[str, torch.Tensor], parameters: Sequence[torch.nn.Parameter]) -> dict[str, Any]:
        """Take this process's share of each tensor that belongs to a parameter.

        It is that of the parameter whose name the tensor's ends with, behind a slash, or whose place among `parameters`
        it says (``optimizer/PLACE/…``); it has the parameter's shape.
        """
        named = dict(self.built.net.named_parameters())
        result = {}
        for name, tensor in tensors.items():
            first, *inner = name.split("/")
            owner = parameters[int(inner[0])] if first == "optimizer" else named.get(inner[-1] if inner else first)
            fits = owner is not None and owner.shape == tensor.shape
            result[name] = _share(tensor, owner) if owner is not None and fits else tensor
        return result

    @contextmanager
    def measured(self) -> Iterator[Net]:
        """Give a copy of the net that is whole, in fp32; it lies on the CPU between times."""
        from torch.distributed.tensor import DTensor

        self._take_apart()
        copy = self._whole_copy()
        own = dict(_named(copy.net))
        with torch.no_grad():
            for name, tensor in _named(self.built.net):
                own[name].copy_(tensor.full_tensor() if isinstance(tensor, DTensor) else tensor)
        if copy.table and self.built.table:
            copy.table.decay = self.built.table.decay
        with copy.whole():
            copy.net.to(self.accelerator.device).eval()
            try:
                yield copy.net
            finally:
                copy.net.to("cpu")

    def finished(self, final: Mapping[str, torch.Tensor]) -> tuple[Net, Prepared]:
        """Put the weights into the copy."""
        return _finished(self._whole_copy(), final)

    def _whole_copy(self) -> Built:
        if self._copy is None:
            self._copy = self._build()
            self._copy.net.requires_grad_(False)
        return self._copy

    def _take_apart(self) -> None:
        """Shard again what a forward pass without a backward one has left together; it would outlive the next step."""
        for unit in _units(self.trained):
            unit.reshard()

    def _assert_sharded(self) -> None:
        """Hold what is in effect against what was asked for: asked of the wrong place, FSDP silently becomes DDP."""
        from torch.distributed.tensor import DTensor

        plain = [name for name, parameter in self.built.net.named_parameters() if not isinstance(parameter, DTensor)]
        if plain:
            raise PluginError(
                f"strategy fsdp: {len(plain)} parameters are not sharded, such as {plain[0]}; the strategy in effect is not "
                "the one asked for. Set `strategy: ddp`, or update torch and accelerate"
            )

    def _refuse_keepers(self, before: Mapping[str, weakref.ref[torch.nn.Parameter]]) -> None:
        """Refuse techniques that keep parameters themselves: the sharded ones are others, and theirs would do nothing."""
        kept = {id(parameter): name for name, reference in before.items() if (parameter := reference()) is not None}
        for technique, state in self.built.techniques:
            held = next((kept[id(tensor)] for tensor in _tensors_in(state) if id(tensor) in kept), None)
            if held is not None:
                raise PluginError(
                    f"technique {technique.type_name()}: it keeps the parameter {held} itself, which is another one once it "
                    "is sharded; set `strategy: ddp`, or leave the technique out"
                )


def _shard(trained: Forward, net: Net, accelerator: Accelerator) -> None:
    """Shard in place: each layer by itself, and the rest together."""
    from accelerate.utils import FullyShardedDataParallelPlugin
    from accelerate.utils.fsdp_utils import fsdp2_prepare_model
    from torch.distributed.fsdp import MixedPrecisionPolicy

    bf16 = accelerator.mixed_precision == "bf16"
    policy = MixedPrecisionPolicy(
        # Cast while being put together; a cast by autocast would keep all layers whole until the backward pass.
        param_dtype=torch.bfloat16 if bf16 else None,
        reduce_dtype=torch.float32,
        cast_forward_inputs=False,  # autocast does, where it is right
    )
    # accelerate's own way in, `prepare`, makes DDP of this on a CPU; its function for FSDP2 does what it is told.
    accelerator.state.fsdp_plugin = FullyShardedDataParallelPlugin(
        fsdp_version=2,
        reshard_after_forward=True,
        auto_wrap_policy="transformer_based_wrap",
        transformer_cls_names_to_wrap=_classes_of_layers(net),
        mixed_precision_policy=policy,
        cpu_ram_efficient_loading=False,  # it unties shared weights
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            fsdp2_prepare_model(accelerator, trained)
        for unit in _units(trained):
            unit.set_gradient_divide_factor(1.0)
            unit.set_force_sum_reduction_for_comms(True)
    except (ValueError, NotImplementedError, AttributeError) as error:
        raise PluginError(f"strategy fsdp: this net cannot be sharded: {error}. Set `strategy: ddp`") from error


def _classes_of_layers(net: Net) -> list[str]:
    """Names of the classes that the layers are of, and nothing else in the net."""
    layers = {part.module for part in net.parts() if part.kind == "layer"}
    inside = {module for layer in layers for module in layer.modules()}
    others = {type(module) for module in net.modules() if module not in inside}
    # A ModuleList computes nothing: it collects what lies behind the layers.
    return sorted({type(layer).__name__ for layer in layers if type(layer) not in {*others, torch.nn.ModuleList}})


def _units(trained: torch.nn.Module) -> list[Any]:
    """The modules that are put together one at a time."""
    from torch.distributed.fsdp import FSDPModule

    return [module for module in trained.modules() if isinstance(module, FSDPModule)]


def _share(tensor: torch.Tensor, like: Any) -> Any:
    """This process's share of a whole tensor, cut as the parameter `like` is."""
    from torch.distributed.tensor import distribute_tensor

    whole = tensor.to(like.device)
    return distribute_tensor(whole, like.device_mesh, like.placements, src_data_rank=None)


def _tensors_in(state: Any, depth: int = 4) -> Iterator[torch.Tensor]:
    """Tensors in a technique's state: in mappings, sequences and plain objects, not in modules."""
    if isinstance(state, torch.Tensor):
        yield state
    elif depth and not isinstance(state, (torch.nn.Module, str, bytes)):
        inner: Any = ()
        if isinstance(state, Mapping):
            inner = state.values()
        elif isinstance(state, (list, tuple, set)):
            inner = state
        elif hasattr(state, "__dict__"):
            inner = vars(state).values()
        for item in inner:
            yield from _tensors_in(item, depth - 1)


def _finished(built: Built, final: Mapping[str, torch.Tensor]) -> tuple[Net, Prepared]:
    net, techniques, table = built
    if table:
        table.expand()
    own = dict(_named(net))
    with torch.no_grad():
        for name, tensor in final.items():
            own[name].copy_(tensor)
    for technique, state in techniques:
        technique.finish(net, state)
    net.requires_grad_(True)
    return net.eval(), techniques


def _named(net: torch.nn.Module) -> list[tuple[str, torch.Tensor]]:
    """Parameters and buffers by name, each shared one once."""
    return [*net.named_parameters(), *net.named_buffers()]


def _refuse_other_engines(accelerator: Accelerator, strategy: str) -> None:
    """Refuse what accelerate was configured to do besides; the recipe says how processes share the work."""
    plain = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)
    if accelerator.distributed_type not in plain:
        raise RecipeError(
            f"strategy {strategy}: accelerate has been configured for {accelerator.distributed_type.value}, and the recipe's "
            "`strategy` decides; start the processes with torchrun, or with accelerate launch --multi_gpu"
        )
