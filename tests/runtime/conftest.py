"""A bundle made by hand, without torch: word vectors, mean, and three labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, pre_tokenizers

from hft_core.runtime import manifest

WORDS = ["[PAD]", "[UNK]", "good", "bad", "so-so", "好", "坏", "吃"]
LABELS = ["bad", "good", "一般"]


def write_graph(file: Path, scale: float = 1.0) -> None:
    """Write input_ids, attention_mask -> logits [batch, 3], weights beside the graph."""
    generator = np.random.default_rng(0)
    table = generator.normal(size=(len(WORDS), 64)).astype(np.float32) * scale
    head = generator.normal(size=(64, len(LABELS))).astype(np.float32)
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["vectors"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["mask3"]),
        helper.make_node("Mul", ["vectors", "mask3"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "one"], ["sum"], keepdims=0),
        helper.make_node("ReduceSum", ["mask", "one"], ["count"], keepdims=1),
        helper.make_node("Div", ["sum", "count"], ["mean"]),
        helper.make_node("MatMul", ["mean", "head"], ["logits"]),
    ]
    axes = ["batch", "sequence"]
    graph = helper.make_graph(
        nodes,
        "model",
        [helper.make_tensor_value_info(name, TensorProto.INT64, axes) for name in ("input_ids", "attention_mask")],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(LABELS)])],
        [
            numpy_helper.from_array(table, "table"),
            numpy_helper.from_array(head, "head"),
            numpy_helper.from_array(np.array([-1]), "last"),
            numpy_helper.from_array(np.array([1]), "one"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.save_model(model, str(file), save_as_external_data=True, location=f"{file.name}_data", size_threshold=256)


def seal(folder: Path, **changes: Any) -> None:
    """Write bundle.json, with `changes`, and the manifest."""
    settings = {
        "max_length": 8,
        "pad_id": 0,
        "padding_side": "right",
        "inputs": ["input_ids", "attention_mask"],
        "special": {"pad": 0, "unk": 1},
    }
    description = {
        "format": 1,
        "name": "toy",
        "hft": "0.1.0",
        "created": "2025-01-01T00:00:00+00:00",
        "task": {
            "type": "text-classification",
            "module": "hft_plugins.text_classification.runtime",
            "settings": {"text": "review", "label": "label"},
            "facts": {"labels": LABELS},
        },
        "text": ["review"],
        "cleaners": [
            {"type": "unicode", "module": "hft_plugins.cleaners.unicode_runtime", "settings": {"form": "NFKC"}},
        ],
        "preprocessor": {"module": "hft_core.runtime.text", "settings": settings},
        "precisions": ["fp32"],
        "graphs": {
            "model": {
                "files": {"fp32": "onnx/model.onnx"},
                "inputs": {"input_ids": ["batch", "sequence"], "attention_mask": ["batch", "sequence"]},
                "outputs": {"logits": ["batch", len(LABELS)]},
            }
        },
        "bytes": {f"onnx/{file.name}": file.stat().st_size for file in (folder / "onnx").iterdir()},
        "requires": {},
    }
    (folder / "bundle.json").write_text(json.dumps(description | changes, ensure_ascii=False), encoding="utf-8")
    manifest.write(folder)


@pytest.fixture
def bundle_folder(tmp_path: Path) -> Path:
    """A whole bundle with golden rows."""
    from hft_core.runtime import load

    folder = tmp_path / "bundle"
    (folder / "onnx").mkdir(parents=True)
    write_graph(folder / "onnx" / "model.onnx")
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Split("好", "isolated"),
            pre_tokenizers.Split("吃", "isolated"),
        ]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "golden.jsonl").write_text("", encoding="utf-8")
    seal(folder)
    rows = [{"review": text} for text in ("good", "bad so-so", "好吃", "no such word", "好 good bad 好")]
    with (folder / "golden.jsonl").open("w", encoding="utf-8") as stream:
        for row, prediction in zip(rows, load(folder).predict(rows), strict=True):
            stream.write(json.dumps({"row": row, "predictions": {"fp32": prediction}}, ensure_ascii=False) + "\n")
    manifest.write(folder)
    return folder
