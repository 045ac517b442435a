"""The runtime: text to prediction with onnxruntime, tokenizers and numpy, without torch.

``hft_core.runtime.load("bundle").predict(["…"])``. Importing this package loads none of the three;
`load` does. Tasks, content cleaners and preprocessors keep what runs at predict time in modules
that import no more than these three and the standard library.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hft_core.runtime.bundle import Bundle

__all__ = ["ERROR", "load"]

ERROR = "error"
"""The key that stands in place of a prediction for a row that was not answered."""


def load(
    path: str | PathLike[str],
    precision: str | None = None,
    threads: int | None = None,
    providers: str | Sequence[str] | None = None,
) -> Bundle:
    """Open an exported bundle.

    Args:
        path: the bundle's folder, or a run's folder with `bundle/` in it.
        precision: one of the bundle's precisions (`fp32`, `int8`); default: the first that the recipe named.
        threads: threads within one operation; default: onnxruntime's (the physical cores). They never spin.
        providers: one or several of onnxruntime's execution providers, first choice first: `cpu` (default), `cuda`, …
            as far as the installed onnxruntime has them; the CPU comes last in any case. With another first choice
            than that of parity.json, under which the export was proven, the golden rows are answered before anything.

    Raises:
        RecipeError: there is no bundle at `path`, or it lacks the precision.
        DamagedError: a file is missing, has another size or, where small, another checksum; graphs or labels are
            not those that bundle.json describes; or another provider does not reproduce the golden rows.
        PluginError: the bundle needs a package that is missing, names a module that it may not load, or onnxruntime
            lacks a provider, or cannot start the first.
    """
    from hft_core.runtime.bundle import Bundle

    return Bundle(path, precision=precision, threads=threads, providers=providers)
