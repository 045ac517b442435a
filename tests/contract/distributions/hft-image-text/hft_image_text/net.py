"""The live nets. Imports torch."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file, save_file

from hft_core import Graph, HeadSpec, Net, Part, PluginError

_WEIGHTS = "model.safetensors"
Example = dict[str, NDArray[Any]]


class PatchesNet(Net):
    """A linear layer on each patch, places, and a layer behind them."""

    def __init__(self, size: int, patch: int, width: int):
        super().__init__()
        self.patches = torch.nn.Conv2d(3, width, patch, stride=patch)
        self.places = torch.nn.Parameter(torch.randn(width, size // patch, size // patch) * 0.02)
        self.mixed = torch.nn.Linear(width * (size // patch) ** 2, width)

    def forward(self, head: str, **arrays: torch.Tensor) -> dict[str, torch.Tensor]:
        """There is no head."""
        raise NotImplementedError("a tower without heads")

    def embed(self, **arrays: torch.Tensor) -> torch.Tensor:
        """Give one vector per picture, [rows, width], of `pixels` float32 [rows, 3, size, size]."""
        states = torch.nn.functional.gelu(self.patches(arrays["pixels"]) + self.places)
        vectors: torch.Tensor = torch.nn.functional.gelu(self.mixed(states.flatten(1)))
        return vectors

    def parts(self) -> list[Part]:
        """Patches with their places, and the layer."""
        first = torch.nn.ModuleList([self.patches, torch.nn.ParameterList([self.places])])
        return [Part("patches", 0.0, "embeddings", first), Part("mixed", 0.5, "layer", self.mixed)]

    def save(self, folder: Path) -> None:
        """Write one file."""
        save_file(self.state_dict(), folder / _WEIGHTS)


class FusedNet(Net):
    """Two towers and linear heads on their vectors."""

    def __init__(self, text: Net, image: Net, example: Example, sizes: Mapping[str, int]):
        """`example`: model inputs of two rows, by which the towers' inputs and widths are known."""
        super().__init__()
        self.text, self.image, self.example = text, image, example
        self.text_inputs = [name for name in example if name != "pixels"]
        with torch.no_grad():
            width = self._vectors({name: torch.from_numpy(array) for name, array in example.items()}).shape[1]
        self.heads = torch.nn.ModuleDict({name: torch.nn.Linear(width, size) for name, size in sizes.items()})

    def forward(self, head: str, **arrays: torch.Tensor) -> dict[str, torch.Tensor]:
        """Give `logits` float [rows, size]."""
        return {"logits": self.heads[head](self._vectors(arrays))}

    def embed(self, **arrays: torch.Tensor) -> torch.Tensor:
        """Give both vectors of each row behind one another."""
        return self._vectors(arrays)

    def parts(self) -> list[Part]:
        """Those of both towers, by their depths within them, and the heads."""
        towers = [
            Part(f"{name}.{part.name}", part.depth, part.kind, part.module)
            for name, tower in (("text", self.text), ("image", self.image))
            for part in tower.parts()
        ]
        return [*towers, *(Part(f"head.{name}", 1.0, "head", head) for name, head in self.heads.items())]

    def save(self, folder: Path) -> None:
        """Write each tower as its own model does, into text/ and image/, and the heads beside them."""
        for name, tower in (("text", self.text), ("image", self.image)):
            (folder / name).mkdir(exist_ok=True)
            tower.save(folder / name)
        save_file(self.heads.state_dict(), folder / _WEIGHTS)

    def _vectors(self, arrays: Mapping[str, torch.Tensor]) -> torch.Tensor:
        text = self.text.embed(**{name: arrays[name] for name in self.text_inputs})
        image = self.image.embed(pixels=arrays["pixels"])
        if text is None or image is None:
            raise PluginError("model: late-fusion needs models that give a vector per row (Net.embed)")
        return torch.cat([text, image], dim=1)


def fused(start: Path | None, text: Net, image: Net, preprocessor: Any, heads: Mapping[str, HeadSpec]) -> FusedNet:
    """Join two towers; heads that `start` lacks, or has in another size, are new."""
    for name, spec in heads.items():
        if spec.name != "sequence-classification" or spec.size is None:
            raise PluginError(f"model: late-fusion has heads for classification only, found {spec.name!r} for {name!r}")
    example = preprocessor.pad(preprocessor.encode(["a text of some length", "一"], [_blank(), _blank()]))
    example["pixels"] = example.pop("pixels")  # the graph's inputs in reading order, whatever padding makes of it
    net = FusedNet(text, image, example, {name: int(spec.size or 0) for name, spec in heads.items()})
    if start is not None:
        saved, own = load_file(start / _WEIGHTS), net.heads.state_dict()
        known = {name: tensor for name, tensor in saved.items() if name in own and own[name].shape == tensor.shape}
        net.heads.load_state_dict(known, strict=False)
        net.new_heads = frozenset(name for name in heads if f"{name}.weight" not in known)
    return net


def load_weights(net: torch.nn.Module, folder: Path) -> None:
    """Load all weights of a net. Raises PluginError where the file has others."""
    try:
        net.load_state_dict(load_file(folder / _WEIGHTS))
    except RuntimeError as error:
        raise PluginError(f"model: the weights in {folder} are of another model: {error}") from error


class _Flat(torch.nn.Module):
    """Takes its inputs by position and gives a tuple, as tracing wants it."""

    def __init__(self, net: FusedNet, head: str):
        super().__init__()
        self.net, self.head = net, head

    def forward(self, *arrays: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.net(self.head, **dict(zip(self.net.example, arrays, strict=True)))["logits"],)


def graph(net: FusedNet, head: str) -> Graph:
    """Give the graph `model` of one head: the text's inputs [batch, sequence] and the pictures to logits."""
    pixels = ("batch", *net.example["pixels"].shape[1:])
    return Graph(
        name="model",
        module=_Flat(net, head),
        inputs={name: pixels if name == "pixels" else ("batch", "sequence") for name in net.example},
        outputs={"logits": ("batch", net.heads[head].out_features)},  # type: ignore[dict-item]  # a Linear's, an int
        example=net.example,
    )


def _blank() -> str:
    """A white picture as the preprocessor reads it."""
    buffer = io.BytesIO()
    Image.new("RGB", (24, 24), "white").save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()
