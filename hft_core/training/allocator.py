"""What the process does with memory: big buffers stay in it between steps, compiled kernels do not pile up.

Every step allocates the dense gradient of the embedding table anew. Above 32 MB, glibc maps fresh pages for it, and the
kernel clears them one by one: measured, a fifth of a MiniLM step's CPU time. Kept on the heap, the same pages serve the
next step.

On a CPU, oneDNN compiles a kernel for each shape of a matrix product and keeps 1,024 of them. Batches of many lengths fill
that up: measured, 230 MB after 120 steps of MiniLM; with 64 kept, steps took no longer than they vary by themselves.
"""

from __future__ import annotations

import ctypes
import gc
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # of mallopt(3)
_KERNELS = "64"
_MUCH = 2**30
"""Resident bytes from which it is worth the time to look for what nobody holds any more: a fifth of a second."""


@cache
def settle_memory() -> None:
    """Tell malloc and oneDNN, once per process and before the first matrix product; what the environment says goes first."""
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", _KERNELS)
    if platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    for name, value in ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1), (_TOP_PAD, 64 * 2**20)):
        mallopt(name, value)


def give_back() -> None:
    """Return what nobody holds any more to the system: gradients, states and buffers of training, and whole models.

    transformers' modules refer to each other in circles, so a model that was let go stays until Python's collector comes
    by. With glibc, does nothing in a process that holds little; elsewhere nobody tells what it holds.
    """
    glibc = platform.libc_ver()[0] == "glibc"
    if glibc and _resident() <= _MUCH:
        return
    gc.collect()
    if glibc:
        ctypes.CDLL(None).malloc_trim(0)


@contextmanager
def earlier_objects_set_aside() -> Iterator[None]:
    """Keep Python's collector from what the process held before, until the end.

    In a long session of millions of objects each look through them takes seconds, and a run looks after each of its parts.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _resident() -> int:
    """Bytes of this process that are in memory, from proc(5)."""
    pages = Path("/proc/self/statm").read_text("ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
