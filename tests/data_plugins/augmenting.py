"""Texts that the tests of augmenters share, and training rows of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hft_core import Columns, Roles, Training
from hft_core.data.table import ROW

ENGLISH = [
    "The director makes a warm film. It seems long, but the story helps.",
    "A good audience laughed at the comedy. The scene was not cheap!",
    "Movie fans seem fascinated, yet the movie is old. We watched it twice.",
    "The plot looks thin. The actors try to save the picture.",
]
CHINESE = [
    "这家店的外卖非常好吃，送餐很快！包装也很好。",
    "味道不好，等了两个小时。骑士的态度很差！",
    "牛肉面好吃，价格便宜。下次还会再来。",
    "送来的时候已经凉了，味道一般。不会再点外卖。",
]
LABELS = ["good", "good", "bad", "bad"]


def training_of(texts: list[str], folder: Path, **more: Any) -> Training:
    """Rows of these texts with LABELS, and a model in a folder; `more` are further columns."""
    batch: Columns = {"text": texts, "label": LABELS, ROW: list(range(len(texts)))} | more

    def net(heads: Any) -> Any:
        from hft_plugins.transformers.models import Bert

        model = Bert.model_validate({"type": "bert", "source": str(folder)})
        start = model.locate()
        preprocessor = model.preprocessor(start, ())
        return model.build(start, preprocessor, heads).eval(), preprocessor

    spans = tuple(name for name in more if name == "entities")
    return Training(lambda: iter([batch]), Roles(text=("text",), spans=spans, protected=spans), "label", net)
