"""The runtime: text to prediction with onnxruntime, tokenizers and numpy, without torch.

``hft_core.runtime.load("bundle").predict(["…"])``. Importing this package loads none of the three;
`load` does. Tasks, content cleaners and preprocessors keep what runs at predict time in modules
that import no more than these three and the standard library.
"""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hft_core.runtime.bundle import Bundle

__all__ = ["load"]


def load(
    path: str | PathLike[str], precision: str | None = None, threads: int | None = None, provider: str | None = None
) -> Bundle:
    """Open an exported bundle.

    Args:
        path: the bundle's folder, or a run's folder with `bundle/` in it.
        precision: one of the bundle's precisions (`fp32`, `int8`); default: the first that the recipe named.
        threads: threads within one operation; default: onnxruntime's (the physical cores). They never spin.
        provider: onnxruntime execution provider, `cpu` (default), `cuda`, … if the installed onnxruntime has it.

    Raises:
        RecipeError: there is no bundle at `path`, or it lacks the precision.
        DamagedError: a file is missing, has another size or, where small, another checksum.
        PluginError: the bundle needs a package that is missing, or names a module that it may not load.
    """
    from hft_core.runtime.bundle import Bundle

    return Bundle(path, precision=precision, threads=threads, provider=provider)
