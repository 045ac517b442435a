"""The model `patches`: a small tower for images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from hft_core import Graph, HeadSpec, Model, PluginError, Preprocessor


class Patches(Model):
    """Pictures cut into patches, each with a place of its own (as in Dosovitskiy et al. 2021), without attention."""

    type: Literal["patches"]
    size: Literal[24] = 24
    """Side of a picture in pixels."""
    patch: Literal[4, 6, 8, 12] = 6
    """Side of a patch in pixels."""
    width: int = Field(default=32, ge=1)
    """Numbers in its vector."""
    source: Path | None = None
    """A folder with its weights; default: fresh ones."""

    def locate(self) -> Path | None:
        """Give the folder of the weights. Raises PluginError where it has none."""
        if self.source is not None and not (self.source / "model.safetensors").is_file():
            raise PluginError(f"model: {self.source} has no model.safetensors; set `source:` to a folder with weights")
        return self.source

    def preprocessor(self, start: Path | None, texts: Iterable[str]) -> Any:
        """Give the preprocessor of pictures, which learns nothing."""
        from hft_image_text.pixels import Pixels

        return Pixels(self.size)

    def build(self, start: Path | None, preprocessor: Preprocessor, heads: Mapping[str, HeadSpec]) -> Any:
        """Build the tower, which has no head of its own."""
        if heads:
            raise PluginError("model: patches is a tower of images; make it the `image` of {type: late-fusion}")
        from hft_image_text.net import PatchesNet, load_weights

        net = PatchesNet(self.size, self.patch, self.width)
        if start is not None:
            load_weights(net, start)
        return net

    def graphs(self, net: Any, head: str) -> list[Graph]:
        """Give none: whoever joins it with another model exports both in one."""
        return []
