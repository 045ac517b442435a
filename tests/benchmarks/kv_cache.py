"""What a key-value cache saves: greedy decoding on ONNX Runtime with it, and by reading the whole text again and again.

python -m tests.benchmarks.kv_cache

A GPT-2 with random weights writes the same tokens both ways, with the runtime's own code and the one exported graph; where
it recomputes, the cache is left out of every call. CPU time of one thread, in turn; exporting is not counted.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks import arms


def main() -> None:
    """Export, write in turn, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--tokens", type=int, nargs="*", default=[50, 100, 200])
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        arms.apart(_export, file, asked.layers, asked.width, max(asked.tokens) + 16)
        rows = arms.apart(_measure, file, asked.tokens, asked.runs)
    head = f"CPU s (median of {asked.runs})"
    arms.table(["tokens written", f"with the cache, {head}", f"without, {head}", "ratio (median)"], rows)


def _export(file: Path, layers: int, width: int, positions: int) -> None:
    """Write the graph that `hft` exports of a GPT-2 with 8,000 tokens."""
    import torch
    import transformers

    from hft_core import HeadSpec
    from hft_plugins.onnx.trace import trace
    from hft_plugins.transformers.build import fresh
    from hft_plugins.transformers.graphs import graph
    from hft_plugins.transformers.net import TransformersNet

    torch.manual_seed(0)
    heads = max(1, width // 64)
    config = transformers.GPT2Config(
        vocab_size=8000, n_embd=width, n_layer=layers, n_head=heads, n_positions=positions, initializer_range=0.2,
        bos_token_id=0, eos_token_id=0, pad_token_id=0,
    )  # fmt: skip
    head = fresh(HeadSpec("causal-lm"), config)
    trace(graph(TransformersNet(head.base_model, {"main": head}, frozenset()).eval(), "main"), file, 20)


def _measure(file: Path, counts: list[int], runs: int) -> list[list[str]]:
    """Write from a prompt of 8 tokens, both ways in turn; the tokens have to be the same."""
    from hft_core.runtime.session import OnnxCall

    call = OnnxCall({"model": file}, threads=1)
    rows = []
    for count in counts:
        times: dict[str, list[float]] = {"cached": [], "recomputed": []}
        for turn in range(runs + 1):
            written = []
            for name, write in (("cached", _cached), ("recomputed", _recomputed)):
                start = time.process_time()
                written.append(write(call, count))
                if turn:  # the first round warms up
                    times[name].append(time.process_time() - start)
            if written[0] != written[1]:
                raise SystemExit("the two ways wrote different tokens")
        ratio = statistics.median(two / one for one, two in zip(times["cached"], times["recomputed"], strict=True))
        rows.append([str(count), *(f"{statistics.median(some):.3f}" for some in times.values()), f"{ratio:.1f}"])
    return rows


def _prompt() -> Any:
    import numpy as np

    return np.arange(1, 9, dtype=np.int64)[None]


def _cached(call: Any, count: int) -> list[int]:
    import numpy as np

    from hft_core.runtime.generation import Decoding, prefill, write

    ids = _prompt()
    [(_, state)] = prefill(call, ids, np.ones_like(ids))
    tokens: list[int] = write(state, count, np.array([-1]), Decoding()).tokens[0].tolist()
    return tokens


def _recomputed(call: Any, count: int) -> list[int]:
    import numpy as np

    ids = _prompt()
    for _ in range(count):
        logits = call("model", input_ids=ids, attention_mask=np.ones_like(ids))["logits"]
        ids = np.concatenate([ids, logits[:, -1:].argmax(axis=-1)], axis=1)
    written: list[int] = ids[0, 8:].tolist()
    return written


if __name__ == "__main__":
    main()
