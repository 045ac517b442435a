"""Resolves `precision: auto` from the hardware; the result is shown by `hft plan` and part of a stage's key."""

from __future__ import annotations

from pathlib import Path

_FAST_BF16 = ("amx_bf16", "avx512_bf16")


def resolve(precision: str) -> str:
    """Give `bf16` or `fp32`: bf16 where the GPU, or the CPU's instructions, multiply it faster than fp32."""
    if precision != "auto":
        return precision
    import torch

    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if _cpu_flags() & set(_FAST_BF16) else "fp32"


def _cpu_flags() -> set[str]:
    """Instruction sets of the processor, as Linux lists them; none are known elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return set()
    return next((set(line.partition(":")[2].split()) for line in lines if line.startswith("flags")), set())
