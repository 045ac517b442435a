"""`hft` in one of several processes, which notes what it writes in a folder: ``process.py FOLDER LOG ARGUMENTS…``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_WRITES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.chmod", "shutil.rmtree"}


def note_writes(folder: str, log: Path) -> None:
    """Write each change below `folder` to `log`."""
    stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(event: str, arguments: tuple[object, ...]) -> None:
        opened = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if (event in _WRITES or opened) and str(arguments[0]).startswith(folder):
            os.write(stream, f"{event} {arguments[0]}\n".encode())

    sys.addaudithook(note)


if __name__ == "__main__":
    from hft_core.cli.main import main

    note_writes(sys.argv[1], Path(sys.argv[2]))
    sys.argv = ["hft", *sys.argv[3:]]
    main()
