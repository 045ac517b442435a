"""Draws a few rows of each label from a file of `text<TAB>label`, and the rest without labels.

    python draw.py FILE FOLDER [--shots 8] [--unlabelled 1000] [--seed 0]

Writes FOLDER/few.tsv, FOLDER/peek.tsv (one row of each label out of them) and FOLDER/unlabelled.txt. Standard library only.
"""

from __future__ import annotations

import argparse
import random
from collections import defaultdict
from pathlib import Path


def main() -> None:
    """Write the three files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shots", type=int, default=8)
    parser.add_argument("--unlabelled", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rows = list(dict.fromkeys(line for line in options.file.read_text("utf-8").splitlines() if line.strip()))
    draw = random.Random(options.seed)
    draw.shuffle(rows)
    by_label: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        by_label[row.rsplit("\t", 1)[1]].append(row)
    few = [row for label in sorted(by_label) for row in by_label[label][: options.shots]]
    peek = [by_label[label][0] for label in sorted(by_label)]
    chosen = set(few)
    texts = [row.rsplit("\t", 1)[0] for row in rows if row not in chosen][: options.unlabelled]
    options.folder.mkdir(parents=True, exist_ok=True)
    for name, lines in (("few.tsv", few), ("peek.tsv", peek), ("unlabelled.txt", texts)):
        (options.folder / name).write_text("".join(line + "\n" for line in lines), "utf-8")


if __name__ == "__main__":
    main()
