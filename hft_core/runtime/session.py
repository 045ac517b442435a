"""onnxruntime sessions: how a named graph is run outside torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hft_core.errors import DamagedError, PluginError
from hft_core.runtime.cache import PAST, Cache, folded

if TYPE_CHECKING:
    import onnxruntime  # type: ignore[import-untyped]  # ships no types


Axes = dict[str, list[Any]]
"""Axes of arrays by name, as onnxruntime has them: a number where fixed, else a word or None."""


class OnnxCall:
    """``call(graph, **arrays) -> named outputs`` on onnxruntime, the runtime's and the parity check's `call`."""

    def __init__(
        self, graphs: Mapping[str, Path], threads: int | None = None, providers: str | Sequence[str] | None = None
    ):
        """`graphs`: name to file. Raises DamagedError for a file that is no model, PluginError for the providers."""
        self._sessions = {name: open_session(file, threads, providers) for name, file in graphs.items()}
        self._inputs = {name: session.get_inputs() for name, session in self._sessions.items()}
        self._outputs = {name: [o.name for o in session.get_outputs()] for name, session in self._sessions.items()}

    @property
    def provider(self) -> str:
        """onnxruntime's name of the execution provider that comes first, such as `CPUExecutionProvider`."""
        return str(next(iter(self._sessions.values())).get_providers()[0])

    def axes(self, graph: str) -> tuple[Axes, Axes]:
        """Give the axes of a graph's inputs and outputs by name."""
        outputs = self._sessions[graph].get_outputs()
        return {i.name: list(i.shape) for i in self._inputs[graph]}, {o.name: list(o.shape) for o in outputs}

    def __call__(self, graph: str, /, cache: Cache | None = None, **arrays: Any) -> dict[str, Any]:
        """Run one graph; arrays that it doesn't take are ignored.

        A graph's cache comes as one output `cache`, and goes in as `cache`, or entry by entry by the names of the graph's
        inputs; what is left out of it is empty. Raises PluginError where onnxruntime cannot run it.
        """
        if cache is not None:
            arrays |= cache.inputs()
        rows = len(next(iter(arrays.values())))
        feed = {
            entry.name: np.ascontiguousarray(arrays[entry.name])
            if entry.name in arrays or not entry.name.startswith(PAST)
            else _empty(entry, rows)
            for entry in self._inputs[graph]
        }
        try:
            values = self._sessions[graph].run(None, feed)
        except Exception as error:  # onnxruntime's own exception classes have no common base
            from onnxruntime import __version__

            raise PluginError(f"onnxruntime {__version__} cannot run the graph {graph!r}: {error}") from error
        return folded(dict(zip(self._outputs[graph], values, strict=True)), cache)


def _empty(entry: Any, rows: int) -> NDArray[np.float32]:
    """The past of a cache's input before anything has passed: its first symbolic axis is the batch, the other is 0."""
    sizes = [rows, *(0 if isinstance(size, str) else size for size in entry.shape[1:])]
    return np.zeros(sizes, np.float32)


def open_session(
    file: Path, threads: int | None = None, providers: str | Sequence[str] | None = None
) -> onnxruntime.InferenceSession:
    """Open a model file; arguments and errors as those of `hft_core.runtime.load`.

    Waiting threads sleep instead of spinning: spinning doubles the CPU time of a short call and slows
    its neighbours. The rest is onnxruntime's default: memory arena, memory pattern and optimisation level
    changed neither CPU time nor memory of a first prediction. The file does: weights beside the graph are
    mapped instead of parsed (22.7 million parameters in fp32: 121 instead of 190 MB resident at the peak).
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors are raised; warnings about the machine are not the user's concern
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    if threads:
        options.intra_op_num_threads = threads
    wanted = _providers([providers] if isinstance(providers, str) else providers or ["cpu"])
    try:
        session = onnxruntime.InferenceSession(str(file), options, providers=wanted)
    except Exception as error:  # onnxruntime's own exception classes have no common base
        raise DamagedError(f"{file} cannot be opened by onnxruntime {onnxruntime.__version__}: {error}") from error
    if session.get_providers()[0] != wanted[0]:  # onnxruntime goes on with the next one, and only logs it
        raise PluginError(
            f"the provider {wanted[0]} could not be started on this machine (no such device, or a library of it is "
            "missing); leave it out"
        )
    return session


def _providers(wanted: Sequence[str]) -> list[str]:
    """Give the providers to try for names with or without their `ExecutionProvider`; at last the CPU, which can all."""
    import onnxruntime

    short = {name.removesuffix("ExecutionProvider").lower(): name for name in onnxruntime.get_available_providers()}
    keys = [name.lower().removesuffix("executionprovider") for name in wanted]
    if lacking := [name for name, key in zip(wanted, keys, strict=True) if key not in short]:
        raise PluginError(f"this onnxruntime has no provider {lacking[0]!r}; it has {', '.join(sorted(short))}")
    return list(dict.fromkeys([*(short[key] for key in keys), "CPUExecutionProvider"]))
