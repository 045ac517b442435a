"""onnxruntime sessions: how a named graph is run outside torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hft_core.errors import DamagedError, PluginError
from hft_core.runtime.cache import PAST, Cache, folded, names_past

if TYPE_CHECKING:
    import onnxruntime  # type: ignore[import-untyped]  # ships no types


class OnnxCall:
    """``call(graph, **arrays) -> named outputs`` on onnxruntime, the runtime's and the parity check's `call`."""

    def __init__(self, graphs: Mapping[str, Path], threads: int | None = None, provider: str | None = None):
        """`graphs`: name to file. Raises DamagedError for a file that is no model, PluginError for the provider."""
        self._sessions = {name: open_session(file, threads, provider) for name, file in graphs.items()}
        self._inputs = {name: session.get_inputs() for name, session in self._sessions.items()}
        self._outputs = {name: [o.name for o in session.get_outputs()] for name, session in self._sessions.items()}

    def __call__(self, graph: str, /, cache: Cache | None = None, **arrays: Any) -> dict[str, Any]:
        """Run one graph; arrays that it doesn't take are ignored.

        A graph's cache comes as one output `cache`, and goes in as `cache`; None: nothing is past. Who gives
        `past_key_values.*` by name instead gets `present.*` by name.
        """
        by_name = names_past(arrays)
        if cache is not None:
            arrays |= cache.inputs()
        rows = len(next(iter(arrays.values())))
        feed = {
            entry.name: np.ascontiguousarray(arrays[entry.name])
            if entry.name in arrays or not entry.name.startswith(PAST)
            else _empty(entry, rows)
            for entry in self._inputs[graph]
        }
        outputs = dict(zip(self._outputs[graph], self._sessions[graph].run(None, feed), strict=True))
        return outputs if by_name else folded(outputs)


def _empty(entry: Any, rows: int) -> NDArray[np.float32]:
    """The past of a cache's input before anything has passed: its first symbolic axis is the batch, the other is 0."""
    sizes = [rows, *(0 if isinstance(size, str) else size for size in entry.shape[1:])]
    return np.zeros(sizes, np.float32)


def open_session(file: Path, threads: int | None, provider: str | None) -> onnxruntime.InferenceSession:
    """Open a model file.

    Waiting threads sleep instead of spinning: spinning doubles the CPU time of a short call and slows
    its neighbours. The rest is onnxruntime's default: memory arena, memory pattern and optimisation level
    changed neither CPU time nor memory of a first prediction. The file does: weights beside the graph are
    mapped instead of parsed (22.7 million parameters in fp32: 121 instead of 190 MB resident at the peak).
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors are raised; warnings about the machine are not the user's concern
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    if threads:
        options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(str(file), options, providers=_providers(provider or "cpu"))
    except PluginError:
        raise
    except Exception as error:  # onnxruntime's own exception classes have no common base
        raise DamagedError(f"{file} cannot be opened by onnxruntime {onnxruntime.__version__}: {error}") from error


def _providers(wanted: str) -> list[str]:
    """Give the providers to try for a name with or without its `ExecutionProvider`."""
    import onnxruntime

    short = {name.removesuffix("ExecutionProvider").lower(): name for name in onnxruntime.get_available_providers()}
    key = wanted.lower().removesuffix("executionprovider")
    if key not in short:
        raise PluginError(f"this onnxruntime has no provider {wanted!r}; it has {', '.join(sorted(short))}")
    return list(dict.fromkeys([short[key], "CPUExecutionProvider"]))
