"""Keeps big buffers in the process between steps, where glibc's malloc would give them back each time.

Every step allocates the dense gradient of the embedding table anew. Above 32 MB, glibc maps fresh pages
for it, and the kernel clears them one by one: measured, a fifth of a MiniLM step's CPU time. Kept on the
heap, the same pages serve the next step.
"""

from __future__ import annotations

import ctypes
import platform
from functools import cache

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # of mallopt(3)


@cache
def keep_large_buffers() -> bool:
    """Tell malloc, once per process, to take big buffers from the heap and keep it; whether that was possible."""
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1), (_TOP_PAD, 64 * 2**20))
    accepted = [mallopt(name, value) for name, value in settings]
    return accepted == [1] * len(settings)
