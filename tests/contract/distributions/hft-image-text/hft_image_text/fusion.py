"""The model `late-fusion`: two installed models side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from hft_core import Graph, HeadSpec, Model, PluginError, Preprocessor

TOWERS = ("text", "image")


class LateFusion(Model):
    """The vectors of a model of texts and of one of images behind one another, and a linear layer over both."""

    type: Literal["late-fusion"]
    text: Model
    """A model of texts."""
    image: Model
    """A model of images, such as {type: patches}."""

    def towers(self) -> dict[str, Model]:
        """Give the two models by name."""
        return {name: getattr(self, name) for name in TOWERS}

    def describe(self) -> str:
        """Both in their own words."""
        return f"late fusion of {self.text.describe()} and {self.image.describe()}"

    def learns_preprocessor(self) -> bool:
        """Whether one of the two learns it from texts."""
        return any(model.learns_preprocessor() for model in self.towers().values())

    def preprocessor(self, start: Path | None, texts: Iterable[str]) -> Any:
        """Join those of both; only the one of texts may learn."""
        from hft_image_text.preprocess import TextAndImages

        text = self.text.preprocessor(_start(start, "text", self.text), texts)
        image = self.image.preprocessor(_start(start, "image", self.image), ())
        for name, made, needed in (("text", text, "encode"), ("image", image, "images")):
            if not hasattr(made, needed):
                kind = getattr(self, name).type_name()
                raise PluginError(f"model.{name}: {kind!r} does not read {name}s (its preprocessor has no {needed}())")
        return TextAndImages(text, image)

    def build(self, start: Path | None, preprocessor: Preprocessor, heads: Mapping[str, HeadSpec]) -> Any:
        """Build both without heads, and a linear head over them. Raises PluginError for a head that is not for classes."""
        from hft_image_text.net import fused

        towers = {
            name: model.build(_start(start, name, model), getattr(preprocessor, name), {})
            for name, model in self.towers().items()
        }
        return fused(start, towers["text"], towers["image"], preprocessor, heads)

    def graphs(self, net: Any, head: str) -> list[Graph]:
        """One graph: what both read, to logits."""
        from hft_image_text.net import graph

        return [graph(net, head)]


def _start(start: Path | None, name: str, model: Model) -> Path | None:
    """What a tower starts from: its part of a folder that late fusion has saved, or what its own settings name."""
    return start / name if start is not None else model.locate()
