"""Errors that a user can act on, each with the exit code of its family.

Every message says where it happened, what was found, and what to do. The command line prints
the message without a traceback and exits with ``exit_code``; ``hft_core.run`` raises the error.
"""

from __future__ import annotations

import errno

DISK_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG})
"""What the system says where a disk is full or may not be written."""


class HftError(Exception):
    """Base of all errors that hft raises on purpose; itself an internal error (70)."""

    exit_code = 70
    told = False
    """Whether the user has been told, by the process of the same run that failed first; its exit code is this one's too."""


class RecipeError(HftError):
    """The recipe, or a command-line option, is wrong."""

    exit_code = 2


class DataError(HftError):
    """The data cannot be read or does not fit the task."""

    exit_code = 3


class PluginError(HftError):
    """A plugin or a model refused: missing, broken, clashing, or without what the recipe needs."""

    exit_code = 4


class NonFiniteError(HftError):
    """A loss or gradient is infinite or not a number."""

    exit_code = 5


class OutOfMemoryError(HftError):
    """A step does not fit into memory."""

    exit_code = 6


class DiskError(HftError):
    """An output folder is full or cannot be written."""

    exit_code = 7


class LockedError(HftError):
    """Another process holds what this one needs."""

    exit_code = 8


class DamagedError(HftError):
    """A stored artefact or a bundle does not match its checksums, or a verification failed."""

    exit_code = 9


class Interrupted(HftError):
    """The run was asked to stop; the same command continues it."""

    exit_code = 75


def exit_code(error: BaseException) -> int:
    """Give the code that a process ends with because of an error, see docs/exit-codes.md."""
    if isinstance(error, HftError):
        return error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return 130
    if isinstance(error, MemoryError):
        return OutOfMemoryError.exit_code
    if isinstance(error, OSError) and error.errno in DISK_ERRNOS:
        return DiskError.exit_code
    return HftError.exit_code


def frames_of(error: BaseException) -> list[tuple[str, int]]:
    """Give file and line of each frame that an error went through, those of another process included."""
    import traceback  # only where something has gone wrong

    here = [(frame.filename, frame.lineno or 0) for frame in traceback.extract_tb(error.__traceback__)]
    return here + list(getattr(error, "frames", ()))


def keep_frames(error: BaseException) -> None:
    """Note an error's frames on it, for it loses its traceback on the way to another process."""
    error.frames = frames_of(error)  # type: ignore[attr-defined]  # an attribute of our own
