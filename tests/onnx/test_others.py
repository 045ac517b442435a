from __future__ import annotations

import json
from pathlib import Path

from transformers import AutoConfig, BertConfig

from hft_plugins.onnx.others import write_config


def test_config_is_read_by_transformers_and_names_weights_for_transformers_js(tmp_path: Path) -> None:
    BertConfig(id2label={0: "差评", 1: "好评"}, hidden_size=48).save_pretrained(tmp_path)
    bundle = tmp_path / "bundle"
    (bundle / "onnx").mkdir(parents=True)
    for name in ("model.onnx", "model.onnx_data", "model_quantized.onnx_data", "small.onnx"):
        (bundle / "onnx" / name).touch()
    write_config(tmp_path / "config.json", bundle)
    text = (bundle / "config.json").read_text("utf-8")
    beside = {"model.onnx": 1, "model_quantized.onnx": 1}
    assert json.loads(text)["transformers.js_config"] == {"use_external_data_format": beside}
    assert "差评" in text
    config = AutoConfig.from_pretrained(bundle)
    assert (config.hidden_size, config.id2label) == (48, {0: "差评", 1: "好评"})
