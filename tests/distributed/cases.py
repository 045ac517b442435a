"""Short stages with each technique and optimizer, as a script: ``cases.py FOLDER STRATEGY NAME…``, alone or as one of several.

For each case a run ``FOLDER/runs/NAME-STRATEGY``, from the weights of ``FOLDER/runs/base``.
"""

from __future__ import annotations

import os
import sys
from typing import Any

TASK = {"type": "task", "data": "train"}
CASES: dict[str, dict[str, Any]] = {
    "sgd": {"optimizer": {"type": "sgd", "lr": 0.1, "momentum": 0.9}},
    "adamw": {"optimizer": {"type": "adamw", "lr": 1e-3}},
    "lion": {"optimizer": {"type": "lion", "lr": 1e-4}},
    "muon": {"optimizer": {"type": "muon", "lr": 1e-3}},
    "freeze": {"techniques": [{"type": "freeze", "below": 0.5}]},
    "gradual-unfreezing": {"techniques": [{"type": "gradual-unfreezing"}]},
    "layerwise-decay": {"techniques": [{"type": "layerwise-decay", "rate": 0.5}]},
    "reinit": {"techniques": [{"type": "reinit", "layers": 1}]},
    "ema": {"techniques": [{"type": "ema", "decay": 0.9}]},
    "swa": {"techniques": [{"type": "swa", "start": 0.5}]},
    "lora": {"techniques": [{"type": "lora", "rank": 3}]},
    "lora-ema": {"techniques": [{"type": "lora", "alone": False}, {"type": "ema"}]},
    "r-drop": {"techniques": [{"type": "r-drop"}]},
    "mixup": {"techniques": [{"type": "mixup"}]},
    "fgm": {"techniques": [{"type": "fgm"}]},
    "fgm-in-r-drop": {"techniques": [{"type": "fgm"}, {"type": "r-drop"}]},
    "distillation": {"techniques": [{"type": "distillation", "teacher": {"type": "bert", "source": "runs/base"}}]},
    "adamw-decay": {"optimizer": {"type": "adamw", "lr": 1e-3, "weight_decay": 0.5}},
    "new-head-settles": {"objectives": [TASK, {"type": "masked-lm", "data": "train"}]},
    "fewer-rows-than-processes": {"batch_size": 3, "micro_batch": 1},  # the last batch has one row
}


def recipe(name: str, strategy: str) -> dict[str, Any]:
    """One stage of two epochs, each of a few steps."""
    stage = {
        "stage": "finetune",
        "objectives": [TASK],
        "epochs": 2,
        "batch_size": 16,
        "micro_batch": 4,
        "optimizer": {"type": "sgd", "lr": 0.1},
    }
    return {
        "name": name,
        "data": {
            "train": {"type": "csv", "path": "train.csv"},
            "validation": {"type": "csv", "path": "dev.csv"},
        },
        "task": {"type": "text-classification", "text": "text", "label": "label"},
        "model": {"type": "bert", "source": "runs/base", "max_length": 64},
        "stages": [stage | CASES[name]],
        "evaluate": {"plain": False},
        "precision": "fp32",
        "strategy": strategy,
    }


if __name__ == "__main__":
    import hft_core
    from hft_core.training import embedding

    embedding._WORTH_IT = 0  # every table is trained without the rows that the stage cannot meet, where it may be
    os.chdir(sys.argv[1])
    for wanted in sys.argv[3:]:
        hft_core.run(recipe(wanted, sys.argv[2]), out=f"runs/{wanted}-{sys.argv[2]}")
