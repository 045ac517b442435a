"""The technique `lora`: low-rank adapters beside linear layers, merged into them at the end."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, field_validator

from hft_core import PluginError, RecipeError, Technique
from hft_core.runtime.randomness import key_of
from hft_plugins.techniques.adapter import Adapter, adapter_of
from hft_plugins.techniques.by_part import owners

if TYPE_CHECKING:
    import torch

    from hft_core import Context, Net, ParamGroup


@dataclass
class LoRAState:
    """What is left when the adapters are merged."""

    adapter: Adapter | None = None
    """The adapters as they were; None before the stage's end, and where nothing else would go with them."""


class LoRA(Technique):
    """Adds a product of two small matrices to linear layers and trains that (Hu et al. 2022).

    The product is 0 at the start, so training begins with the model as it is. At the stage's end it is added into the
    weights: what is saved, exported and trained on is a plain model. Beside it, in `model/adapters/lora/` (or the entry's
    `name`), lies the adapter in peft's own layout, for the model that the stage started from; with `alone: false` there is
    none, for that model has moved too. Needs the package peft.

    It adds parameters, so a technique that remembers them, such as `ema`, is listed after it.
    """

    type: Literal["lora"]
    packages: ClassVar[tuple[str, ...]] = ("peft",)
    rank: int = Field(default=8, ge=1)
    """Width of the two matrices: an adapter has rank × (inputs + outputs) parameters."""
    alpha: float = Field(default=16.0, gt=0)
    """The product is multiplied by alpha / rank."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of an adapter's inputs that are dropped while training."""
    targets: list[str] | None = Field(default=None, min_length=1)
    """Names of the linear modules in the model's layers, or regular expressions: each fits the whole name, such as
    `encoder.layer.0.attention.self.query`, or its end behind a dot, such as `query` or `attention.*`. Default: the
    attention projections that peft knows for the architecture, else all linear modules of the layers."""
    alone: bool = True
    """Train only the adapters and the heads; everything else stays as it is, a pooler and the last normalisation too.
    `false`: adapters beside full updates."""

    changes_modules: ClassVar[bool] = True

    @field_validator("targets")
    @classmethod
    def _expressions(cls, targets: list[str] | None) -> list[str] | None:
        for target in targets or ():
            try:
                re.compile(target)
            except re.error as error:
                raise ValueError(f"{target!r} is neither a name nor a regular expression: {error}") from error
        return targets

    def prepare(self, net: Net, context: Context) -> LoRAState:
        """Put the adapters in and freeze the rest. Raises RecipeError where a target fits no linear module."""
        import torch

        try:
            from peft import LoraConfig, inject_adapter_in_model
        except ImportError as error:
            raise PluginError(f'technique lora: {error}; run: pip install "hft-core[lora]"') from error
        chosen = self._chosen(net)
        before = {parameter: parameter.requires_grad for parameter in net.parameters()}
        owner = owners(net)
        config = LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha,  # type: ignore[arg-type]  # any number will do
            lora_dropout=self.dropout,
            target_modules=chosen,
        )
        # On the CPU, where nets are built; numbers drawn here are nobody else's.
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            torch.manual_seed(key_of(context.seed, "lora") % 2**63)
            warnings.filterwarnings("ignore", "fan_in_fan_out")  # peft finds out by itself how weights lie
            inject_adapter_in_model(config, net)  # freezes whatever was there
        for parameter, trained in before.items():
            part = owner.get(id(parameter))
            parameter.requires_grad_(trained and (not self.alone or (part is not None and part.kind == "head")))
        return LoRAState()

    def groups(self, net: Net, groups: list[ParamGroup]) -> list[ParamGroup]:
        """Change nothing. Raises RecipeError where another technique keeps every adapter from being trained."""
        if not any("lora_" in name for group in groups for name in group.names):
            raise RecipeError(
                "technique lora: another technique of the stage freezes all its adapters, so it would change nothing; freeze "
                "less, or remove one of them"
            )
        return groups

    def _chosen(self, net: Net) -> list[str]:
        """Names of the modules that get an adapter."""
        linear = _linear_modules(net)
        if not linear:
            raise RecipeError("technique lora: the model's layers have no linear modules; remove it from `techniques`")
        if self.targets is None:
            return _known(net, linear) or list(linear)
        ends = sorted({name.rpartition(".")[2] for name in linear})
        chosen: dict[str, None] = {}
        for target in self.targets:
            fitting = _fitting(target, linear)
            if not fitting:
                raise RecipeError(
                    f"technique lora: the target {target!r} fits no linear module of the model's layers; there are "
                    f"{', '.join(ends)} (in full such as {next(iter(linear))})"
                )
            chosen |= dict.fromkeys(fitting)
        return list(chosen)

    def finish(self, net: Net, state: LoRAState) -> None:
        """Add each product into its weights and put the plain modules back; the adapter is kept for `save`."""
        from peft.tuners.lora import LoraLayer

        layers = {name: module for name, module in net.named_modules() if isinstance(module, LoraLayer)}
        for layer in layers.values():
            layer.merge()
        if self.alone:
            state.adapter = adapter_of(net, self.rank, self.alpha, self.dropout)
        for name, layer in layers.items():
            net.set_submodule(name, layer.get_base_layer())
        del net.peft_config

    def save(self, net: Net, state: LoRAState, folder: Path) -> None:
        """Write the adapter in peft's layout."""
        if state.adapter is not None:
            state.adapter.write(folder / "adapters" / self.title)


def _linear_modules(net: Net) -> Mapping[str, torch.nn.Module]:
    """The linear modules of the parts that are layers, by their names in the net."""
    from torch.nn import Linear
    from transformers.pytorch_utils import Conv1D  # GPT-2's linear layer

    inside = {module for part in net.parts() if part.kind == "layer" for module in part.module.modules()}
    named = net.named_modules()
    return {name: module for name, module in named if module in inside and isinstance(module, (Linear, Conv1D))}


def _known(net: Net, linear: Mapping[str, torch.nn.Module]) -> list[str]:
    """Those that peft adapts in this architecture by default; none where it does not know it."""
    from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as KNOWN

    kinds = [getattr(getattr(module, "config", None), "model_type", None) for module in net.modules()]
    targets = next((KNOWN[kind] for kind in kinds if kind in KNOWN), [])
    names = [targets] if isinstance(targets, str) else targets
    return [name for name in linear if any(name in _fitting(target, linear) for target in names)]


def _fitting(target: str, names: Mapping[str, torch.nn.Module]) -> list[str]:
    expression = re.compile(rf"(?:.*\.)?(?:{target})")
    return [name for name in names if expression.fullmatch(name)]
