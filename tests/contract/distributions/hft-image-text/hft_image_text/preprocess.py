"""What late fusion reads: a preprocessor of texts and one of images. It imports what the two name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from hft_core.runtime.ragged import Arrays


class TextAndImages:
    """The arrays of both side by side."""

    module = "hft_image_text.preprocess"

    def __init__(self, text: Any, image: Any):
        self.text, self.image = text, image

    @property
    def vocabulary(self) -> int:
        """Number of different token ids, 1 where the texts have none."""
        return int(getattr(self.text, "vocabulary", 1))

    @property
    def max_length(self) -> int | None:
        """Longest text."""
        longest: int | None = getattr(self.text, "max_length", None)
        return longest

    def settings(self) -> dict[str, Any]:
        """Give module and settings of both, in the form in which a bundle looks for modules that it has to trust."""
        parts = {"text": self.text, "image": self.image}
        return {name: {"module": part.module, "settings": part.settings()} for name, part in parts.items()}

    def save(self, folder: Path) -> None:
        """Write each into its own folder, text/ and image/."""
        for name, part in (("text", self.text), ("image", self.image)):
            (folder / name).mkdir(exist_ok=True)
            part.save(folder / name)

    def encode(self, texts: Sequence[str], images: Sequence[Any]) -> Arrays:
        """Give the arrays of both."""
        return {**self.text.encode(texts), **self.image.images(images)}

    def pad(self, arrays: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        """Pad those of both."""
        padded: dict[str, NDArray[Any]] = self.image.pad(self.text.pad(arrays))
        return padded


def load(folder: Path, settings: Mapping[str, Any]) -> TextAndImages:
    """Restore both from their folders."""
    text, image = (
        import_module(settings[name]["module"]).load(folder / name, settings[name]["settings"])
        for name in ("text", "image")
    )
    return TextAndImages(text, image)
