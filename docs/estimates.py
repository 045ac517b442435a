"""Writes the estimates of docs/distributed.md: memory and throughput of models from 110 million to 7 billion parameters.

Run `python docs/estimates.py` after a change; a test fails where the page is older than the numbers. They are estimates by
the formulas below, no measurements.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parent / "distributed.md"
MARKER = "<!-- from here on written by docs/estimates.py -->"

WEIGHT = GRADIENT = 4
"""Bytes per parameter, fp32."""
MOMENTS = 8
"""Bytes per parameter of Adam's two moments, fp32."""
WORKING = 2
"""Bytes per parameter of its bfloat16 copy."""
ACTIVATIONS = 34
"""Bytes per token, layer and unit of width that wait for the backward pass (Korthikanti et al. 2022, without the attention
matrix, which fused attention does not keep)."""
LOGITS = 10
"""Bytes per token and entry of the vocabulary: bfloat16, fp32, and the gradient."""
MFU = 0.4
"""Model FLOPs utilisation that is assumed: the share of the peak that goes into 6 × parameters × tokens."""
PEAKS = {"A100": 312e12, "H100": 989e12}
"""Dense bfloat16 FLOP/s by the manufacturer's data sheets."""
NVLINK, NETWORK = 450e9, 50e9
"""Bytes per second and direction of one device: NVLink 4 within a machine, 400 Gbit/s between machines."""
TOKENS = 8192
"""Tokens per micro-batch and process in the tables."""
GB = 1e9


@dataclass(frozen=True)
class Size:
    """A transformer of the usual shape: 12 × width² parameters per layer."""

    name: str
    layers: int
    width: int
    vocabulary: int
    positions: int
    tied: bool = True

    @property
    def embeddings(self) -> int:
        """Parameters outside of the layers."""
        return ((1 if self.tied else 2) * self.vocabulary + self.positions) * self.width

    @property
    def parameters(self) -> int:
        """All parameters."""
        return 12 * self.layers * self.width**2 + self.embeddings


SIZES = (
    Size("110M (BERT base)", 12, 768, 30_522, 512),
    Size("350M (GPT-2 medium)", 24, 1024, 50_257, 1024),
    Size("1.3B (GPT-3 XL)", 24, 2048, 50_257, 2048),
    Size("7B (LLaMA)", 32, 4096, 32_000, 0, tied=False),
)


def ddp_bytes(size: Size) -> float:
    """Weights, gradients, moments, and the bfloat16 copies that autocast keeps until the backward pass."""
    return (WEIGHT + GRADIENT + MOMENTS + WORKING) * size.parameters


def fsdp_bytes(size: Size, processes: int) -> float:
    """A share of weights, gradients and moments; two layers and what is outside of layers put together; a gradient on its way."""
    layer = (size.parameters - size.embeddings) / size.layers
    together = WORKING * (2 * layer + size.embeddings) + (WORKING + GRADIENT) * max(layer, size.embeddings)
    return (WEIGHT + GRADIENT + MOMENTS) * size.parameters / processes + together


def validation_bytes(size: Size, processes: int) -> float:
    """What a device holds under fsdp while the whole fp32 copy is measured: that copy, and its share without gradients."""
    return WEIGHT * size.parameters + (WEIGHT + MOMENTS) * size.parameters / processes


def activation_bytes(size: Size, tokens: int = TOKENS) -> float:
    """Of one micro-batch, with logits for all of its tokens (causal LM; masked LM makes 15 % of them, a classifier none)."""
    return tokens * (ACTIVATIONS * size.layers * size.width + LOGITS * size.vocabulary)


def tokens_per_second(size: Size, peak: float, mfu: float = MFU) -> float:
    """Of one device, communication not counted."""
    return mfu * peak / (6 * size.parameters)


def ddp_traffic(size: Size, processes: int) -> float:
    """Bytes that a device sends per step: the gradients, in fp32, once around a ring and back."""
    return 2 * (processes - 1) / processes * GRADIENT * size.parameters


def fsdp_traffic(size: Size, processes: int) -> float:
    """Bytes that a device sends per micro-batch: bfloat16 weights for both passes, fp32 gradients."""
    return (processes - 1) / processes * (2 * WORKING + GRADIENT) * size.parameters


def page() -> str:
    """Give the whole page: the hand-written part as it stands, and the estimates."""
    written = PAGE.read_text("utf-8").partition(MARKER)[0]
    return f"{written}{MARKER}\n\n" + "\n".join(_estimates()) + "\n"


def _estimates() -> Iterator[str]:
    yield (
        f"Memory per device in GB ({GB:.0e} bytes), bfloat16 arithmetic, Adam. Activations are those of {TOKENS} tokens per "
        "micro-batch, with logits for all of them; they shrink with `micro_batch`. During validation, fsdp holds the whole "
        "model in fp32 besides a share of weights and moments.\n"
    )
    yield from _table(
        ("model", "parameters", "ddp", "fsdp, 2", "fsdp, 8", "fsdp, 32", "fsdp, 8: validation", "activations"),
        [
            (
                size.name,
                f"{size.parameters / 1e6:.0f} M",
                _gb(ddp_bytes(size)),
                *(_gb(fsdp_bytes(size, processes)) for processes in (2, 8, 32)),
                _gb(validation_bytes(size, 8)),
                _gb(activation_bytes(size)),
            )
            for size in SIZES
        ],
    )
    yield (
        f"\nTokens per second and device at a utilisation of {MFU:.0%}, and what a step of one micro-batch of {TOKENS} tokens "
        "takes on an H100; beside it the seconds that its messages take among 8 devices, within a machine (NVLink) and between "
        "machines (400 Gbit/s each). ddp sends once per step, behind the last micro-batch; fsdp sends for every micro-batch, "
        "while it computes.\n"
    )
    yield from _table(
        (
            "model",
            "tokens/s, A100",
            "tokens/s, H100",
            "step",
            "ddp: NVLink",
            "ddp: network",
            "fsdp: NVLink",
            "fsdp: network",
        ),
        [
            (
                size.name,
                *(f"{tokens_per_second(size, peak):,.0f}" for peak in PEAKS.values()),
                _seconds(TOKENS / tokens_per_second(size, PEAKS["H100"])),
                *(_seconds(ddp_traffic(size, 8) / rate) for rate in (NVLINK, NETWORK)),
                *(_seconds(fsdp_traffic(size, 8) / rate) for rate in (NVLINK, NETWORK)),
            )
            for size in SIZES
        ],
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def _gb(count: float) -> str:
    return f"{count / GB:.1f}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 0.1 else f"{1000 * seconds:.1f} ms"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
