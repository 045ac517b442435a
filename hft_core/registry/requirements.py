"""What is installed against what is required, told by metadata: nothing is imported for it."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packaging.requirements import Requirement

CORE = "hft-core"


def unmet(requirements: Iterable[str]) -> list[str]:
    """Say of each requirement (PEP 508) that is not met what is there instead; those of other platforms and extras are none.

    Raises ValueError for one that is not written as PEP 508 says.
    """
    return [said for text in requirements if (said := _unmet(parsed(text)))]


def parsed(text: str) -> Requirement:
    """Read a requirement such as ``hft-mine>=0.2,<1``. Raises ValueError for anything else."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return Requirement(text)
    except InvalidRequirement as error:
        raise ValueError(
            f"{text!r} is no requirement, such as 'hft-mine>=0.2,<1': {str(error).splitlines()[0]}"
        ) from None


def newer_core(distribution: Distribution) -> str | None:
    """Say if a distribution needs another version of hft-core than this one; None: it does not."""
    own = [text for text in distribution.requires or () if _name(text) == CORE]
    found = unmet(own)
    return found[0] if found else None


def missing(distribution: Distribution) -> list[str]:
    """Say which of a distribution's own requirements are not met."""
    return unmet(distribution.requires or ())


def _unmet(requirement: Requirement) -> str | None:
    if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
        return None
    wanted = f"{requirement.name}{requirement.specifier}"
    try:
        found = version(requirement.name)
    except PackageNotFoundError:
        return f"{wanted} is not installed; run: pip install '{wanted}'"
    if requirement.specifier.contains(found, prereleases=True):
        return None
    return f"{wanted} is needed, and {requirement.name} {found} is installed; run: pip install '{wanted}'"


def _name(text: str) -> str:
    """A requirement's distribution, in the canonical spelling."""
    name = text
    for position, letter in enumerate(text):
        if not (letter.isalnum() or letter in "-_."):
            name = text[:position]
            break
    return name.lower().replace("_", "-").replace(".", "-")
