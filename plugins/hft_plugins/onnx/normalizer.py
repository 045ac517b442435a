"""Content cleaners as steps of tokenizer.json, where every reader of the bundle gets them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from hft_core import Finished
from hft_core.runtime.cleaning import Step, clean
from hft_core.runtime.text import TextPreprocessor
from hft_plugins.onnx.tokenizer import ADVERSARIAL

EDGES = (
    " a ", "a  b", "\ta\r\nb\x0bc\x0cd", "a\u3000b\xa0c\u2009d\u2028e\x85f\x1cg", "\u3000好\u3000吃\u3000",
    "很 好吃，\n\n下次。 ", "<b>a</b>&amp; b", "&lt;p&gt;", "cafÃ© â€œ",
)  # fmt: skip
HARD = (*ADVERSARIAL, *EDGES)
"""Texts at which a cleaner and its steps might part."""
_AT_ONCE = 1000


def absorb(runs: Sequence[Finished], folder: Path) -> bool:
    """Write the cleaners into tokenizer.json in `folder`, if that gives the same for all texts; see `absorb_steps`.

    The `runs` are those of a bundle's tasks, which differ in nothing but their rows.
    """
    run = runs[0]
    if type(run.preprocessor) is not TextPreprocessor:
        return False
    steps = [(import_module(cleaner.runtime), cleaner.settings()) for cleaner in run.cleaners]
    tokens = [str(run.preprocessor.tokenizer.id_to_token(id)) for id in run.preprocessor.special.values()]
    texts = [text for one in runs for name in one.task.roles().text for text in one.validation[name]]
    return absorb_steps(folder / "tokenizer.json", steps, tokens, texts)


def absorb_steps(file: Path, steps: Sequence[Step], special: Sequence[str], texts: Sequence[str]) -> bool:
    """Write all `steps` into the normaliser of the tokenizer `file`, before its own; give whether they are in there.

    A cleaner's runtime module offers ``normalizer(settings) -> list[dict]``: steps in tokenizers' own form. Where one
    has none, nothing is changed. Whatever the modules say, it is done only if all `texts`, hard ones, and such with the
    tokens `special` in them get the ids of the cleaned text, both raw and cleaned, and cleaned ones the same offsets.
    """
    if not steps or not all(hasattr(module, "normalizer") for module, _ in steps):
        return False
    around = [f"{a}{token}{b}" for token in special for a, b in (("", ""), ("a ", " b"), (" ", "\n"), ("好", "吃"))]
    samples = [*texts, *HARD, *around]
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    before = Tokenizer.from_str(json.dumps(content))
    made = [part for module, settings in steps for part in module.normalizer(settings)]
    own = content["normalizer"]
    content["normalizer"] = {"type": "Sequence", "normalizers": [*made, *([own] if own else [])]}
    after = Tokenizer.from_str(json.dumps(content))
    for start in range(0, len(samples), _AT_ONCE):
        if not _alike(samples[start : start + _AT_ONCE], steps, before, after):
            return False
    after.save(str(file))
    return True


def _alike(samples: Sequence[str], steps: Sequence[Step], before: Tokenizer, after: Tokenizer) -> bool:
    raw, _ = clean(samples, [])  # lone surrogates, which no tokenizer takes, are replaced in any case
    cleaned, _ = clean(samples, steps)
    made = zip(before.encode_batch(cleaned), after.encode_batch(cleaned), after.encode_batch_fast(raw), strict=True)
    return all(one.ids == two.ids == three.ids and one.offsets == two.offsets for one, two, three in made)
