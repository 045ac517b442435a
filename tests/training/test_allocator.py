"""What a process holds once training is done."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

_SCRIPT = """
import ctypes
import gc
import torch
from hft_core.training.allocator import give_back, settle_memory

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6

class Circle:
    def __init__(self):
        self.itself = self
        self.states = [torch.ones(1 << 18) for _ in range(1100)]

settle_memory()
Circle()
held = resident()
give_back()
print(held - resident())
kept = [torch.ones(1 << 18) for _ in range(1100)]
give_back()
collected = []
gc.callbacks.append(lambda phase, info: collected.append(phase))
give_back()
print(len(collected))
del kept
ctypes.CDLL(None).malloc_trim(0)
give_back()  # the process holds little: nothing to look for, and that is where growth counts from
Circle()
held = resident()
give_back()
print(held - resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's malloc is told to keep memory")
def test_memory_that_training_kept_goes_back_to_the_system() -> None:
    found = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, text=True, check=True)
    gone, again, later = found.stdout.split()
    assert float(gone) > 900, "megabytes of the 1,150 that were allocated"
    assert again == "0", "nothing was added since, so nothing is looked through"
    assert float(later) > 900, "what is added after the process had shrunk"
