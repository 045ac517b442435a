"""Near duplicates by datasketch: MinHash and LSH, then the exact Jaccard similarity. Runs in an environment of its own.

    python peer_near_duplicates.py TEXTS.json THRESHOLD sha1|crc32

The sets of n-grams are those of hft's TextIndex, made in plain Python. Prints JSON: CPU seconds, pairs.
"""

from __future__ import annotations

import json
import sys
import time
import unicodedata
import zlib
from pathlib import Path


def ngrams(text: str, size: int = 5) -> set[str]:
    """Letters, digits and marks in lower case and half width; n-grams of Chinese are half as long."""
    letters = "".join(
        character
        for character in unicodedata.normalize("NFKC", text).lower()
        if unicodedata.category(character)[0] in "LNM"
    )
    letters = letters or "".join(text.split())
    return {
        letters[place : place + ((size + 1) // 2 if "\u3040" <= letters[place] < "\ua000" else size)]
        for place in range(len(letters))
    }


def main() -> None:
    from datasketch import MinHash, MinHashLSH

    texts = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    threshold = float(sys.argv[2])
    settings = {"hashfunc": zlib.crc32} if sys.argv[3] == "crc32" else {}
    began = time.process_time()
    sets = [ngrams(text) for text in texts]
    index = MinHashLSH(threshold=threshold, num_perm=128)
    pairs = []
    for row, own in enumerate(sets):
        if not own:
            continue
        sketch = MinHash(num_perm=128, **settings)
        sketch.update_batch([gram.encode() for gram in own])
        for other in index.query(sketch):
            shared = len(own & sets[other])
            if shared >= threshold * (len(own) + len(sets[other]) - shared):
                pairs.append([other, row])
        index.insert(row, sketch)
    print(json.dumps({"cpu_s": time.process_time() - began, "pairs": pairs}))


if __name__ == "__main__":
    main()
