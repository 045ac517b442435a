"""config.json as other readers of the bundle expect it."""

from __future__ import annotations

import json
from pathlib import Path


def write_config(source: Path, folder: Path) -> None:
    """Write config.json into `folder`: that of a model in transformers' form, and where transformers.js finds weights.

    A graph's weights lie beside it; in a browser transformers.js fetches only files that it is told of.
    """
    config = json.loads(source.read_text(encoding="utf-8"))
    beside = {file.name.removesuffix("_data"): 1 for file in sorted((folder / "onnx").glob("*.onnx_data"))}
    config["transformers.js_config"] = {"use_external_data_format": beside}
    text = json.dumps(config, ensure_ascii=False, indent=2)
    (folder / "config.json").write_text(text + "\n", encoding="utf-8", newline="\n")
