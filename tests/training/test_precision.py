"""`precision: auto` takes bf16 where a processor multiplies it faster than fp32."""

from __future__ import annotations

from pathlib import Path

import pytest

from hft_core.training import precision


@pytest.mark.parametrize(
    ("vendor", "flags", "fast"),
    [
        ("GenuineIntel", "fpu avx512f avx512_bf16 amx_bf16 amx_tile", True),
        ("GenuineIntel", "fpu avx512f avx512_bf16", False),
        ("AuthenticAMD", "fpu avx512f avx512_bf16", True),
        ("AuthenticAMD", "fpu avx512f", False),
    ],
)
def test_bf16_of_processors(
    vendor: str, flags: str, fast: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cores = [f"processor\t: {core}\nvendor_id\t: {vendor}\nflags\t\t: {flags}\nbugs\t\t: none\n" for core in range(2)]
    (tmp_path / "cpuinfo").write_text("\n".join(cores), encoding="utf-8")
    monkeypatch.setattr(precision, "_PROCESSORS", tmp_path / "cpuinfo")
    assert precision.has_fast_bf16(precision.described_processor()) is fast


def test_a_system_that_does_not_tell_is_none_with_bf16(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_PROCESSORS", tmp_path / "none")
    assert not precision.has_fast_bf16(precision.described_processor())


def test_what_a_recipe_says_counts() -> None:
    assert [precision.resolve(said) for said in ("bf16", "fp32")] == ["bf16", "fp32"]
