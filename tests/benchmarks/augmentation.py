"""Augmentation: texts per CPU-second beside nlpaug, Chinese synonyms, two processes, and flips of a judge's predictions.

    python -m tests.benchmarks.augmentation [--peer PYTHON] [--wordnet FOLDER] [--limit N] [--repeats 5] [--seconds 60]

PYTHON is the interpreter of an environment with nlpaug and nltk, FOLDER has the files of WordNet 3.0 (Debian:
wordnet-base). Data: ${HFT_DATA}. Every measurement is CPU time of one thread, hft and nlpaug in turn.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import statistics
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from hft_core import Editor, Roles, RowRandom, TextBatch, Training
from hft_core.data.augmentation import Making, augment_split, begun
from hft_core.data.table import ROW, VARIANT, write_table
from hft_core.runtime.edits import apply
from hft_plugins.augmenters.character_noise import CharacterNoise
from hft_plugins.augmenters.synonyms import Synonyms
from hft_plugins.augmenters.words import words
from tests.benchmarks import arms

_BATCH = 4096
_RATES = (0.05, 0.1, 0.205, 0.3)
_SPEED_RATE = 0.3
_DATA = Path(os.environ.get("HFT_DATA") or arms.ROOT.parent / "shared" / "data")


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", type=Path)
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"))
    parser.add_argument("--limit", type=int)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    rows = arms.sst2("train", options.limit)
    _speed(rows, options.peer, options.wordnet, options.repeats)
    _flips(rows, arms.sst2("dev", options.limit))
    _processes([text for text, _ in rows], options.seconds)


def _speed(rows: list[tuple[str, str]], peer: Path | None, wordnet: Path, repeats: int) -> None:
    texts = [text for text, _ in rows]
    english, learning = _begun(Synonyms(type="synonyms", rate=_SPEED_RATE), rows)
    lexicon, file = _DATA / "lexicon_omw" / "wn-data-cmn.tab", _DATA / "waimai_10k" / "waimai_10k.csv"
    arms.require(lexicon, file)
    with file.open(encoding="utf-8", newline="") as stream:
        reviews = [(row["review"], row["label"]) for row in csv.DictReader(stream)]
    reviews = random.Random(0).sample(reviews, min(len(texts), len(reviews)))
    chinese, _ = _begun(Synonyms(type="synonyms", rate=_SPEED_RATE, table=lexicon), reviews)
    found: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "texts.txt"
        file.write_text("\n".join(texts), encoding="utf-8")
        for _ in range(repeats):
            found.setdefault("hft, English", []).append(_timed(english, texts))
            if peer:
                script = arms.HERE / "peer_augmentation.py"
                used = arms.run([peer, script, file, wordnet, min(len(texts), 2000)])
                figures = json.loads(used.output.strip().splitlines()[-1])
                figures["changed_words"] = figures["words"] - figures["kept"]
                found.setdefault("nlpaug, English", []).append(figures)
            found.setdefault("hft, Chinese", []).append(_timed(chinese, [text for text, _ in reviews]))
    arms.table(
        ["synonyms", "texts per CPU s (median)", "all repeats", "words changed", "texts changed"],
        [
            [
                name,
                f"{statistics.median(_rate(run) for run in runs):,.0f}",
                ", ".join(f"{_rate(run):,.0f}" for run in runs),
                f"{runs[0]['changed_words'] / runs[0]['words']:.1%}",
                f"{runs[0]['changed_texts'] / runs[0]['texts']:.1%}",
            ]
            for name, runs in found.items()
        ],
    )

    print(
        f"\nLearning once which words go with a label, of {len(rows):,} English rows: {learning:.2f} CPU s, not in the table."
    )


def _begun(augmenter: Synonyms, rows: list[tuple[str, str]]) -> tuple[Making, float]:
    """An augmenter that has learned from labelled rows, and the CPU time that it took."""
    begin = time.process_time()
    [making] = begun([augmenter], _training(rows))
    return making, time.process_time() - begin


def _training(rows: list[tuple[str, str]]) -> Training:
    batch = {"text": [text for text, _ in rows], "label": [label for _, label in rows]}
    return Training(lambda: iter([batch]), Roles(text=("text",)), "label")


def _rate(run: dict[str, Any]) -> float:
    return float(run["texts"] / run["cpu_s"])


def _timed(making: Making, texts: list[str]) -> dict[str, Any]:
    """CPU time of the variants as the engine makes them, from texts to texts."""
    rows = list(range(len(texts)))
    batches = [{"text": texts[at : at + _BATCH], ROW: rows[at : at + _BATCH]} for at in range(0, len(texts), _BATCH)]
    begin = time.process_time()
    for batch in batches:
        making.variant(batch, Roles(text=("text",)), 0, 0)
    cpu = time.process_time() - begin
    return {"cpu_s": cpu} | _changes(texts, *_variants(making.editor, texts, 0))


def _variants(editor: Editor, texts: list[str], seed: int) -> tuple[list[str], list[int]]:
    """Each text's variant, and how many words were replaced."""
    made: list[str] = []
    counts: list[int] = []
    for start in range(0, len(texts), _BATCH):
        batch = texts[start : start + _BATCH]
        random = RowRandom(seed, np.arange(start, start + len(batch)))
        edits = editor(TextBatch(batch, [()] * len(batch), {}), random)
        made += map(apply, batch, edits)
        counts += map(len, edits)
    return made, counts


def _changes(texts: list[str], made: list[str], counts: list[int]) -> dict[str, Any]:
    return {
        "texts": len(texts),
        "words": sum(sum(1 for _ in words(text)) for text in texts),
        "changed_words": sum(counts),
        "changed_texts": sum(text != after for text, after in zip(texts, made, strict=True)),
    }


def _flips(rows: list[tuple[str, str]], dev: list[tuple[str, str]]) -> None:
    """Flips by a judge trained on one half of the training rows; labels' words are learned from the other half."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    own, judges = rows[::2], rows[1::2]
    vectorizer = TfidfVectorizer()
    model = LogisticRegression(max_iter=500)
    model.fit(vectorizer.fit_transform([text for text, _ in judges]), [label for _, label in judges])
    texts = [text for text, _ in dev]
    before = model.predict(vectorizer.transform(texts))
    training = _training(own)
    table = []
    for augmenter in (Synonyms, CharacterNoise):
        for keep, rate in product((True, False), _RATES):
            one = augmenter.model_validate({"type": augmenter.type_name(), "rate": rate, "keep_labels": keep})
            editor = one.editor(training)
            flipped, changes = [], []
            for seed in range(3):
                made, counts = _variants(editor, texts, seed)
                flipped.append(float((model.predict(vectorizer.transform(made)) != before).mean()))
                changes.append(_changes(texts, made, counts))
            table.append(
                [
                    f"{augmenter.type_name()}, rate {rate}{'' if keep else ', keep_labels: false'}",
                    f"{statistics.mean(flipped):.1%}",
                    f"{sum(c['changed_words'] for c in changes) / sum(c['words'] for c in changes):.1%}",
                    f"{sum(c['changed_texts'] for c in changes) / sum(c['texts'] for c in changes):.1%}",
                ]
            )
    arms.table(["SST-2 dev, 3 variants a text", "predictions flipped", "words changed", "texts changed"], table)


def _processes(texts: list[str], seconds: float) -> None:
    """CPU time of two processes beside one, on about so many CPU-seconds of work."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "train.arrow"
        times = 20
        many = texts * times
        write_table(source, [{"text": many, ROW: list(range(len(many))), VARIANT: [0] * len(many)}])
        used: list[float] = []
        copies = 1
        for workers in (-1, 0, 2):
            augmenter = Synonyms(type="synonyms", rate=_SPEED_RATE, copies=copies)
            begin = _cpu()
            augment_split(
                source, [augmenter], Roles(text=("text",)), 0, Path(folder) / "out.arrow", workers=max(0, workers)
            )
            used.append(_cpu() - begin)
            if workers == -1:
                copies = min(100, max(1, round(seconds / used.pop())))
        table = [
            ["1", f"{used[0]:.1f}", "–"],
            ["2 beside the one that writes", f"{used[1]:.1f}", f"{used[1] / used[0] - 1:+.1%}"],
        ]
    arms.table(["processes", "CPU s", "overhead"], table)


def _cpu() -> float:
    """CPU time of this process and its finished children."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


if __name__ == "__main__":
    main()
