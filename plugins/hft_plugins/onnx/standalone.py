"""Labels for texts, with onnxruntime, tokenizers and numpy only.

python predict.py "a text" "another"     or     python predict.py < one-text-per-line.txt
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime  # type: ignore[import-untyped]  # ships no types
from tokenizers import Tokenizer


def main(folder: Path) -> None:
    """Print one JSON object per text."""
    bundle = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    if left_out := [cleaner["type"] for cleaner in bundle["cleaners"] if not cleaner.get("in_tokenizer")]:
        print(f"note: this script leaves out the bundle's cleaners ({', '.join(left_out)})", file=sys.stderr)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    settings = bundle["preprocessor"]["settings"]
    tokenizer.enable_truncation(settings["max_length"])
    tokenizer.no_padding()
    temperature = bundle["task"]["facts"].get("temperature", 1.0)
    session = opened(folder / bundle["graphs"]["model"]["files"][bundle["precisions"][0]])
    for text in sys.argv[1:] or (line.decode("utf-8", "replace").rstrip("\r\n") for line in sys.stdin.buffer):
        probabilities = classify(text, tokenizer, session, settings, temperature)
        scores = dict(zip(bundle["task"]["facts"]["labels"], probabilities.tolist(), strict=True))
        best = max(scores, key=lambda label: scores[label])
        answer = json.dumps({"label": best, "score": scores[best], "scores": scores}, ensure_ascii=False)
        sys.stdout.buffer.write(answer.encode("utf-8") + b"\n")
        sys.stdout.buffer.flush()


def opened(graph: Path) -> Any:
    """Open the graph; waiting threads sleep instead of burning time that they do not use."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])


def classify(text: str, tokenizer: Tokenizer, session: Any, settings: Any, temperature: float) -> Any:
    """Give the probabilities of the labels for one text; a single text needs no padding."""
    special = settings["special"]
    readable = re.sub("[\ud800-\udfff]", "\ufffd", text)  # halves of characters, which no tokenizer takes
    ids = tokenizer.encode(readable).ids or [special.get("eos", special.get("unk", settings["pad_id"]))]
    arrays = {"input_ids": ids, "attention_mask": [1] * len(ids), "token_type_ids": [0] * len(ids)}
    feed = {value.name: np.array([arrays[value.name]], np.int64) for value in session.get_inputs()}
    logits = session.run(["logits"], feed)[0][0].astype(np.float64) / temperature
    odds = np.exp(logits - logits.max())
    return odds / odds.sum()


if __name__ == "__main__":
    main(Path(__file__).resolve().parent)
