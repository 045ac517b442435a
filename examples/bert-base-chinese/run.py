"""The recipe beside this file, as Python: bert-base-chinese on Chinese reviews."""

from pathlib import Path

import hft_core

data = Path(__file__).parents[1] / "quickstart-zh" / "data"
run = hft_core.run({
    "name": "bert-base-chinese",
    "data": {
        "train": {"type": "csv", "path": data / "train.csv"},
        "validation": {"type": "csv", "path": data / "dev.csv"},
        "test": {"type": "csv", "path": data / "test.csv"},
    },
    "task": {"type": "text-classification", "text": "评论", "label": "情感"},
    "model": {"type": "bert", "source": "bert-base-chinese", "max_length": 128},
    "stages": [{
        "stage": "finetune",
        "objectives": [{"type": "task", "data": "train"}],
        "epochs": 10,
        "optimizer": {"type": "adam", "lr": 3e-5},
    }],
    "evaluate": {"metrics": [{"type": "accuracy"}]},
    "export": [{"type": "onnx"}],
})  # fmt: skip
print("accuracy on the test rows:", run.metrics["test"]["accuracy"])
print(run.predict(["味道很好，下次还来。", "等了两个小时，菜还是凉的。"]))
print("report:", run.report)
