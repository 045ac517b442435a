"""Whether a component's methods can be called as the engine calls them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import cache
from typing import Any

from hft_core.components import KINDS, Component

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def misfits(component: type[Component]) -> list[str]:
    """Say which overridden methods take other arguments than the contract gives them."""
    bases = [cls for cls in component.__mro__ if cls in _contract()]
    found = []
    for name in dict.fromkeys(name for base in bases for name in vars(base) if not name.startswith("_")):
        contract = next(vars(cls)[name] for cls in bases if name in vars(cls))
        own = next(vars(cls)[name] for cls in component.__mro__ if name in vars(cls))
        if own is contract or not (inspect.isfunction(own) and inspect.isfunction(contract)):
            continue
        if why := _misfit(own, contract):
            found.append(f"{component.__name__}.{name}{_shown(own)} {why}; the contract has {name}{_shown(contract)}")
    return found


@cache
def _contract() -> frozenset[type[Any]]:
    """The base classes of the engine, those between a kind's and a plugin's among them."""
    import hft_core.components as components

    listed = {item for item in vars(components).values() if inspect.isclass(item) and issubclass(item, Component)}
    return frozenset(listed | set(KINDS.values()))


def _misfit(own: Any, contract: Any) -> str:
    given = list(inspect.signature(contract).parameters.values())
    call = [None for parameter in given if parameter.kind in _POSITIONAL]
    named = {parameter.name: None for parameter in given if parameter.kind is inspect.Parameter.KEYWORD_ONLY}
    try:
        inspect.signature(own).bind(*call, **named)
    except TypeError as error:
        return f"cannot be called: {error}"
    return ""


def _shown(function: Any) -> str:
    return f"({', '.join(_parameters(function))})"


def _parameters(function: Any) -> Iterator[str]:
    for parameter in inspect.signature(function).parameters.values():
        yield str(parameter.replace(annotation=inspect.Parameter.empty))
