"""Resolves `precision: auto` from the hardware; the result is shown by `hft plan` and part of a stage's key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

_PROCESSORS = Path("/proc/cpuinfo")


def resolve(precision: str) -> str:
    """Give `bf16` or `fp32`: bf16 where the GPU, or the CPU's instructions, multiply it faster than fp32."""
    if precision != "auto":
        return precision
    import torch

    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if has_fast_bf16(described_processor()) else "fp32"


def has_fast_bf16(processor: Mapping[str, str]) -> bool:
    """Whether a processor's instructions multiply bf16 faster than fp32: AMX, and AVX512-BF16 of AMD.

    AVX512-BF16 of Intel does not: products of matrices ran at half the speed of fp32, and a training took one and a half times
    as long (docs/benchmarks.md).
    """
    flags = processor.get("flags", "").split()
    return "amx_bf16" in flags or ("avx512_bf16" in flags and processor.get("vendor_id") == "AuthenticAMD")


def described_processor() -> dict[str, str]:
    """The first processor as Linux describes it (`flags`, `model name`, …); empty elsewhere."""
    try:
        first = _PROCESSORS.read_text("utf-8").partition("\n\n")[0]
    except OSError:
        return {}
    return {name.strip(): rest.strip() for name, _, rest in (line.partition(":") for line in first.splitlines())}
