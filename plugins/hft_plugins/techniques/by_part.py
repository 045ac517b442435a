"""What techniques share that treat the parts of a net differently: which parameters lie where, and what a name means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hft_core import ParamGroup, RecipeError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch

    from hft_core import Net, Part


def owners(net: Net) -> dict[int, Part]:
    """Give each parameter's part, by the parameter's id: the first part that holds it."""
    owner: dict[int, Part] = {}
    for part in net.parts():
        for parameter in part.module.parameters():
            owner.setdefault(id(parameter), part)
    return owner


def trained(net: Net) -> list[tuple[Part, torch.nn.Parameter]]:
    """Give the parameters that are trained with the part that each lies in."""
    owner = owners(net)
    return [(owner[id(p)], p) for p in net.parameters() if p.requires_grad and id(p) in owner]


def means(name: str, part: Part) -> bool:
    """Whether a name in a recipe means this part: it is its name, its kind, or what its name begins with before a dot."""
    return name in (part.name, part.kind) or part.name.startswith(f"{name}.")


def no_such_part(technique: str, name: str, parts: Sequence[Part]) -> RecipeError:
    """Make the error for a name that means none of `parts`, those with parameters that are trained."""
    kinds = ", ".join(dict.fromkeys(part.kind for part in parts))
    names = ", ".join(dict.fromkeys(part.name for part in parts))
    return RecipeError(
        f"technique {technique}: {name!r} means no part of this model that is trained; name one of {names}, or a kind "
        f"({kinds})"
    )


def scaled(groups: Sequence[ParamGroup], scale_of: Mapping[int, float]) -> list[ParamGroup]:
    """Split groups so that each parameter's learning rate is multiplied by its number in `scale_of` (by id; others by 1)."""
    result: list[ParamGroup] = []
    for group in groups:
        by_scale: dict[float, ParamGroup] = {}
        for name, parameter in zip(group.names, group.params, strict=True):
            scale = group.lr_scale * scale_of.get(id(parameter), 1.0)
            split = by_scale.setdefault(scale, ParamGroup([], [], scale, group.decay))
            split.names.append(name)
            split.params.append(parameter)
        result += by_scale.values()
    return result
