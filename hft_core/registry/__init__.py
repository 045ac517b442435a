"""Finding plugins and their components."""

from hft_core.registry.loader import load_registry
from hft_core.registry.registry import Plugin, Registry

__all__ = ["Plugin", "Registry", "load_registry"]
