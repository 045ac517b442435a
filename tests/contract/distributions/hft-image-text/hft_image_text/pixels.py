"""Images as arrays: what the model `patches` reads. Numpy and Pillow."""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hft_core.errors import DataError
from hft_core.runtime.ragged import Arrays

REQUIRES = ("pillow",)
LARGEST = 4096
"""Longest side of an image that is decoded: a small file may claim to be a huge picture."""


class Pixels:
    """Square pictures of one size; `module` and `settings` restore it."""

    module = "hft_image_text.pixels"

    def __init__(self, size: int):
        self.size = size

    def settings(self) -> dict[str, Any]:
        """Give the size."""
        return {"size": self.size}

    def save(self, folder: Path) -> None:
        """Write nothing: the settings say all."""

    def images(self, values: Sequence[Any]) -> Arrays:
        """Give `pixels` uint8 [rows, 3, size, size] of PNG files in base64. Raises DataError for one that is none."""
        return {"pixels": np.stack([self._picture(value, index) for index, value in enumerate(values)])}

    def pad(self, arrays: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        """Give `pixels` float32, -1 to 1; other arrays pass unchanged."""
        pixels = {"pixels": arrays["pixels"].astype(np.float32) / 127.5 - 1}
        return dict(arrays) | pixels

    def _picture(self, value: Any, index: int) -> NDArray[np.uint8]:
        picture = opened(value)
        if isinstance(picture, str):
            raise DataError(f"image {index + 1}: {picture}")
        small = picture.resize((self.size, self.size), Image.Resampling.BILINEAR)
        return np.asarray(small, np.uint8).transpose(2, 0, 1)


def opened(value: Any) -> Image.Image | str:
    """Give the picture of a PNG file in base64, on white; or say why it is none."""
    if not isinstance(value, str):
        return f"it is {'null' if value is None else f'a {type(value).__name__}'}, not a PNG file as base64 text"
    try:
        raw = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return "it is not base64 text"
    try:
        with Image.open(io.BytesIO(raw), formats=("PNG",)) as file:
            if max(file.size) > LARGEST:
                return f"its sides are {file.size[0]} × {file.size[1]}, at most {LARGEST} are read"
            picture = file.convert("RGBA")
    except Exception as error:  # a decoder meets broken files with errors of many kinds
        return f"it is no sound PNG file ({type(error).__name__})"
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB")


def load(folder: Path, settings: Mapping[str, Any]) -> Pixels:
    """Restore a preprocessor from its `settings`."""
    return Pixels(**settings)
