"""The technique `reinit`: the top layers start from random numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from hft_core import RecipeError, Technique
from hft_core.runtime.randomness import key_of
from hft_plugins.techniques.by_part import owners

if TYPE_CHECKING:
    import torch

    from hft_core import Context, Net, ParamGroup


class Reinit(Technique):
    """Re-initialises the top layers, and the pooler where there is one.

    Zhang et al. 2021, "Revisiting few-sample BERT fine-tuning": the top layers of a pretrained model are made for its
    pre-training and hinder a small task. The numbers are drawn as the model's family draws them, from the stage's seed.
    Normalisation behind the layers stays as it is. List it first: what stands before it, such as `ema`, has seen the
    weights that it replaces.
    """

    type: Literal["reinit"]
    layers: int = Field(default=1, ge=1)
    """How many, counted from the top; the paper tries 1 to 6 of BERT-large's 24."""

    excludes: ClassVar[frozenset[str]] = frozenset({"lora"})

    def prepare(self, net: Net, context: Context) -> None:
        """Draw new weights; after a resume the checkpoint's replace them. Raises RecipeError for more layers than there are."""
        import torch

        with torch.random.fork_rng(devices=[]):  # what others draw does not depend on it
            torch.manual_seed(key_of(context.seed, "reinit") % 2**63)
            for module in self._modules(net):
                _initialise(net, module)

    def groups(self, net: Net, groups: list[ParamGroup]) -> list[ParamGroup]:
        """Change nothing. Raises RecipeError where a technique keeps the new random numbers from being trained."""
        in_optimizer = {id(parameter) for group in groups for parameter in group.params}
        new = {id(parameter) for module in self._modules(net) for parameter in module.parameters()}
        lost = [name for name, parameter in net.named_parameters() if id(parameter) in new - in_optimizer]
        if lost:
            raise RecipeError(
                f"technique reinit: {lost[0]} would stay at random numbers, for another technique freezes it; freeze less, or "
                "re-initialise fewer layers"
            )
        return groups

    def _modules(self, net: Net) -> list[torch.nn.Module]:
        """The top layers, lowest first, and poolers of the backbone."""
        import torch

        # A ModuleList computes nothing: it collects what lies behind the layers.
        layers = [p for p in net.parts() if p.kind == "layer" and not isinstance(p.module, torch.nn.ModuleList)]
        depths = sorted({part.depth for part in layers})
        if self.layers > len(depths):
            there = ", ".join(f"{part.name} ({part.kind})" for part in net.parts())
            raise RecipeError(
                f"technique reinit: {self.layers} layers are to be re-initialised, and this model has {len(depths)}; its parts "
                f"are {there}"
            )
        top = [part.module for part in layers if part.depth in depths[-self.layers :]]
        return top + _poolers(net)


def _poolers(net: Net) -> list[torch.nn.Module]:
    """Modules called `pooler`, as in all families of transformers that have one, where they belong to no head."""
    owner = owners(net)
    return [
        module
        for name, module in net.named_modules()
        if name.rpartition(".")[2] == "pooler"
        and all(id(p) in owner and owner[id(p)].kind != "head" for p in module.parameters())
    ]


def _initialise(net: Net, module: torch.nn.Module) -> None:
    """Draw a module's weights as the model of transformers that holds it would, or as torch does for its own layers."""
    holders: list[Any] = [
        outer
        for outer in net.modules()
        if hasattr(outer, "_init_weights") and any(m is module for m in outer.modules())
    ]
    if holders:
        for tensor in (*module.parameters(), *module.buffers()):
            tensor._is_hf_initialized = False  # type: ignore[attr-defined]  # loaded weights are kept while it is set
        innermost = min(holders, key=lambda outer: sum(1 for _ in outer.modules()))
        module.apply(innermost._init_weights)
        return
    for name, inner in reversed(list(module.named_modules())):  # what a module says of its children goes last
        reset: Any = getattr(inner, "reset_parameters", None) or getattr(inner, "_reset_parameters", None)
        if reset is not None:
            reset()
        elif next(inner.parameters(recurse=False), None) is not None:
            raise RecipeError(
                f"technique reinit: {name or 'a layer'} ({type(inner).__name__}) does not say how it is initialised; give it "
                "torch's `reset_parameters`"
            )
