"""What `hft doctor` finds out about the machine: processor, memory, accelerator, disks. Imports nothing heavy."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hft_core.training.precision import described_processor, has_fast_bf16

_FEATURES = {
    "AVX2": ("avx2",),
    "AVX-512": ("avx512f",),
    "AVX512-VNNI": ("avx512_vnni",),
    "AVX512-BF16": ("avx512_bf16",),
    "AMX": ("amx_tile", "amx_bf16"),
    "NEON": ("asimd",),
    "BF16 (Arm)": ("bf16",),
}
"""Instructions by the name that people use, and by those that Linux lists."""
_TORCH = """
import json, torch
cuda = torch.cuda.is_available()
print(json.dumps({
    "version": torch.__version__, "cuda": cuda, "built for": torch.version.cuda,
    "devices": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if cuda else [],
    "bf16": bool(cuda and torch.cuda.is_bf16_supported()), "threads": torch.get_num_threads(),
}))
"""


def processor() -> dict[str, Any]:
    """Give model, cores that this process may use, features, and whether bf16 is faster than fp32."""
    described = described_processor()
    flags = set((described.get("flags") or described.get("Features") or "").split())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "model": described.get("model name") or platform.processor() or platform.machine(),
        "cores": cores,
        "features": [name for name, needed in _FEATURES.items() if flags.issuperset(needed)],
        "fast_bf16": has_fast_bf16(described),
    }


def memory() -> dict[str, float]:
    """Give the machine's memory and what of it is free, in GB, as far as the system tells."""
    try:
        lines = Path("/proc/meminfo").read_text("utf-8").splitlines()
    except OSError:
        return {}
    values = {name: float(rest.split()[0]) * 1024 / 1e9 for name, _, rest in (line.partition(":") for line in lines)}
    return {"total": round(values["MemTotal"], 1), "available": round(values["MemAvailable"], 1)}


def accelerators() -> list[str]:
    """Give the GPUs that the driver knows, with their memory; none where there is no driver."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return []
    query = [command, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()] if done.returncode == 0 else []


def torch() -> dict[str, Any]:
    """Ask torch, in a process of its own, what it computes with; empty where it is not installed or fails."""
    try:
        done = subprocess.run([sys.executable, "-c", _TORCH], capture_output=True, text=True, timeout=120, check=False)
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found
    except (OSError, subprocess.TimeoutExpired, ValueError, IndexError):
        return {}


def disks(store: Path) -> list[dict[str, Any]]:
    """Give the free space, in GB, where the store, temporary files and fetched models lie, and whether it can be written."""
    hub = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    places = {"store": store, "temporary files": Path(tempfile.gettempdir()), "models of the hub": hub}
    found = []
    for use, place in places.items():
        there = place
        while not there.exists() and there != there.parent:
            there = there.parent
        free = round(shutil.disk_usage(there).free / 1e9, 1)
        found.append({"use": use, "path": str(place), "free": free, "writable": os.access(there, os.W_OK)})
    return found
