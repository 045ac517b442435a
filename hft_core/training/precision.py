"""Resolves `precision: auto` from the hardware; the result is shown by `hft plan` and part of a stage's key."""

from __future__ import annotations

from pathlib import Path

_PROCESSORS = Path("/proc/cpuinfo")


def resolve(precision: str) -> str:
    """Give `bf16` or `fp32`: bf16 where the GPU, or the CPU's instructions, multiply it faster than fp32."""
    if precision != "auto":
        return precision
    import torch

    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if processor_has_fast_bf16() else "fp32"


def processor_has_fast_bf16() -> bool:
    """Whether the processor's instructions multiply bf16 faster than fp32: AMX do, and AMD's AVX512-BF16.

    Intel's AVX512-BF16 do not: their `vdpbf16ps` does half as many multiplications a cycle as two units for fp32 do, and a
    training in bf16 took one and a half times as long (docs/benchmarks.md). Linux says what a processor has; elsewhere
    nothing is known, and the answer is no.
    """
    try:
        lines = _PROCESSORS.read_text("utf-8").splitlines()
    except OSError:
        return False
    first = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in reversed(lines))}
    flags = first.get("flags", "").split()
    return "amx_bf16" in flags or ("avx512_bf16" in flags and first.get("vendor_id") == "AuthenticAMD")
