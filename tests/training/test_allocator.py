"""What a process holds once training is done."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

_SCRIPT = """
import gc
import torch
from hft_core.training.allocator import earlier_objects_set_aside, give_back, settle_memory

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
kept = Circle()
give_back()  # as at the end of training, where the model is still held
held = resident()
del kept
give_back()
print(held - resident())

session = [[] for _ in range(2_000_000)]
looked_at = []
with earlier_objects_set_aside():
    looked_at.append(len(gc.get_objects()))
looked_at.append(len(gc.get_objects()))
print(*looked_at)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's malloc is told to keep memory")
def test_memory_that_training_kept_goes_back_to_the_system() -> None:
    found = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, text=True, check=True)
    gone, later, within, after = map(float, found.stdout.split())
    assert gone > 900, "megabytes of the 1,150 that were allocated"
    assert later > 900, "what was held when the last part ended"
    assert within < 100_000, "what the process held before is not looked through"
    assert after > 2_000_000
