"""Samples of the augmenters."""

from __future__ import annotations

from pathlib import Path

from hft_core import Columns, HeadSpec
from hft_core.testing import TEXTS, Sample


def _translators(folder: Path) -> None:
    """Write two models that translate nothing into anything."""
    import torch

    from hft_plugins.transformers.models import T5
    from hft_plugins.transformers.scratch import Scratch

    source = Scratch.model_validate({"scratch": "tiny", "tokenizer": {"type": "unigram", "size": 200}})
    model = T5(type="t5", source=source, max_length=32)
    preprocessor = model.preprocessor(None, [text for text in TEXTS if text] * 3)
    for seed, name in enumerate(("forward", "back")):
        torch.manual_seed(seed)
        (folder / name).mkdir()
        model.build(None, preprocessor, {"main": HeadSpec("seq2seq-lm")}).save(folder / name)
        preprocessor.save(folder / name)


_ENTITIES: Columns = {
    "text": ["Marie Curie came to Paris.", "Ada Lovelace lived in London.", "王小明住在北京。", "李雷去了上海。"],
    "entities": [
        [{"start": 0, "end": 11, "type": "person"}, {"start": 20, "end": 25, "type": "place"}],
        [{"start": 0, "end": 12, "type": "person"}, {"start": 22, "end": 28, "type": "place"}],
        [{"start": 0, "end": 3, "type": "person"}, {"start": 5, "end": 7, "type": "place"}],
        [{"start": 0, "end": 2, "type": "person"}, {"start": 4, "end": 6, "type": "place"}],
    ],
}

SAMPLES = {
    "entity-swap": Sample(
        texts=_ENTITIES["text"], columns=_ENTITIES, task={"type": "token-classification"},
        skip={"respects_spans": "it replaces the spans that the check protects; see the tests of the augmenters"},
    ),
    "neighbours": Sample(
        settings={"similarity": -1.0, "keep_labels": False, "rate": 0.5},
        texts=(*TEXTS, "a good film, and warm music"),
    ),
    "masked-words": Sample(
        skip={
            "is_independent_of_the_batch": "what a model computes differs in the last bits with the batch",
            "is_the_same_in_another_process": "as it is a model's, the tests of the augmenters see to it",
        }
    ),
    "back-translation": Sample(
        settings={"forward": "forward", "back": "back", "beams": 2, "max_tokens": 6}, prepare=_translators,
        skip={"is_independent_of_the_batch": "what a model computes differs in the last bits with the batch"},
    ),
}  # fmt: skip
