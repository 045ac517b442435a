"""Samples of the techniques: settings that show within the few steps that a check makes."""

from __future__ import annotations

from pathlib import Path

from hft_core import HeadSpec
from hft_core.testing import ROWS, Sample

_TEACHER = {"type": "bert", "source": "./teacher", "max_length": 32}


def _teacher(folder: Path) -> None:
    """Write a model with the sample's head, which student and teacher start from."""
    import torch

    from hft_plugins.transformers.models import Bert
    from hft_plugins.transformers.scratch import Scratch

    source = Scratch.model_validate({"scratch": "tiny", "tokenizer": {"type": "wordpiece", "size": 300}})
    model = Bert(type="bert", source=source, max_length=32)
    preprocessor = model.preprocessor(None, ROWS["text"])
    torch.manual_seed(3)
    head = HeadSpec("sequence-classification", size=2, labels=("neg", "pos"))
    target = folder / "teacher"
    target.mkdir()
    model.build(None, preprocessor, {"main": head}).save(target)
    preprocessor.save(target)


SAMPLES = {
    "freeze": Sample(settings={"parts": ["embeddings"]}),
    "rates": Sample(settings={"factors": {"embeddings": 0.5}}),
    "swa": Sample(settings={"start": 0.25}),
    "ema": Sample(settings={"decay": 0.9}),
    "distillation": Sample(settings={"teacher": _TEACHER}, model=_TEACHER, prepare=_teacher),
}
