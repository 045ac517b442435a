"""Reads and carries out the fenced blocks of a page of documentation.

What a block is for can be seen by every reader of the page:

- `bash` and `python` blocks are run, in order, in one empty folder per page (a page that says that it continues the
  tutorial goes on in the tutorial's); a python block is a program of its own.
- A block right after a line that is a file's name in backticks and a colon is written to that file.
- A `text` block after a block that was run is its output, `…` standing for anything; only what it shows must be there.
- A block after a line that begins with `*Not run by the tests:` is not run; the line says why.
- Any other block (no language, `yaml`, …) is for the eye, or is parsed only.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[2]
NOT_RUN = "*Not run by the tests:"
CONTINUES = re.compile(r"continues? the \[tutorial\]", re.IGNORECASE)

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"^`([\w./-]+\.\w+)`:$")


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    language: str
    text: str
    line: int
    before: str
    """The last line of text before it."""

    @property
    def file(self) -> str | None:
        """The file that it is the content of."""
        found = _FILE.search(self.before)
        return found[1] if found else None

    @property
    def runs(self) -> bool:
        return self.language in ("bash", "python") and not self.file and not self.before.startswith(NOT_RUN)


def pages() -> list[Path]:
    return [
        ROOT / "README.md",
        *sorted((ROOT / "docs").rglob("*.md")),
        *sorted((ROOT / "examples").glob("*/README.md")),
        ROOT / "contrib" / "README.md",
        *(page for page in sorted((ROOT / "contrib").glob("hft-*/README.md")) if _installed(page.parent.name)),
    ]


def _installed(distribution: str) -> bool:
    return find_spec(distribution.replace("-", "_")) is not None


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text("utf-8")
    for match in _FENCE.finditer(text):
        before = text[: match.start()].rstrip().rpartition("\n")[2]
        yield Block(match[1], match[2], text.count("\n", 0, match.start()) + 1, before)


def carry_out(page: Path, folder: Path) -> None:
    """Run a page's blocks in `folder`; an assertion names page and line of the one that fails."""
    output: str | None = None
    for block in blocks(page):
        where = f"{page.relative_to(ROOT)}, line {block.line}"
        if block.file:
            target = folder / block.file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.text, encoding="utf-8")
        elif block.runs:
            output = _run(block, folder, where)
        elif block.language == "text" and output is not None:
            assert shows(block.text, output), f"{where}: expected\n{block.text}\nbut the block before printed\n{output}"
            output = None


def shows(expected: str, output: str) -> bool:
    """Whether the lines of `expected` stand in `output` one below the other; `…` is anything, also several lines."""
    pattern = ".*?".join(re.escape(part) for part in _even(expected).split("…"))
    return re.search(pattern, _even(output), re.DOTALL) is not None


def _even(text: str) -> str:
    return "\n".join(" ".join(line.split()) for line in text.strip().splitlines())


def _own_packages(folder: Path) -> dict[str, str]:
    """Let what a page installs with pip go into a folder of its own, which its later commands look into; nothing is fetched."""
    site = folder / "site-packages"
    pip = {
        "TARGET": str(site),
        "NO_DEPS": "1",
        "NO_INDEX": "1",
        "NO_BUILD_ISOLATION": "0",
        "DISABLE_PIP_VERSION_CHECK": "1",
    }
    return {f"PIP_{name}": value for name, value in pip.items()} | {"PYTHONPATH": str(site)}


def _run(block: Block, folder: Path, where: str) -> str:
    command = ["bash", "-euo", "pipefail", "-c", block.text] if block.language == "bash" else [sys.executable, "-"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HFT_")}
    # The commands of a reader who has activated the environment: `hft` and `python` are this one's.
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
    done = subprocess.run(
        command,
        input=block.text if block.language == "python" else None,
        cwd=folder,
        env=kept | _own_packages(folder) | {"PATH": path, "COLUMNS": "100", "OMP_WAIT_POLICY": "PASSIVE"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, f"{where}: exit code {done.returncode}\n{block.text}\nprinted\n{done.stdout}"
    return done.stdout
