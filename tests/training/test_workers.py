"""Processes that make batches: errors come through whole, and signals are the parent's business."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import hft_core

PLUGIN = '''
from typing import Literal
from hft_core import hookimpl
from hft_plugins.text_classification.objective import Classification

class Faulty(Classification):
    """Cannot make a batch."""

    type: Literal["faulty"]

    def batch(self, arrays, random, stream):
        if random.seed_for_tests:
            pass
        return super().batch(arrays, random, stream)

@hookimpl
def register_objectives():
    return [Faulty]
'''


@pytest.mark.parametrize("workers", [0, 2])
def test_a_plugin_that_cannot_make_a_batch_is_named(tiny: Any, workers: int) -> None:
    plugin = tiny.folder / "faulty.py"
    plugin.write_text(PLUGIN, encoding="utf-8")
    tiny.recipe["stages"][0] |= {"objectives": [{"type": "faulty", "data": "train"}], "workers": workers}
    with pytest.raises(hft_core.PluginError, match=r"faulty\.py, line 12: AttributeError") as caught:
        hft_core.run(tiny.write(), plugins=[plugin])
    assert "Traceback" not in str(caught.value)


@pytest.mark.slow
def test_a_stop_is_said_once(tiny: Any, start: Any) -> None:
    import signal

    tiny.recipe["stages"][0] |= {"workers": 2, "epochs": 500}
    process = start("run", tiny.write(), cwd=tiny.folder)
    lines = []
    for line in process.stderr:
        lines.append(line)
        if "epoch 3:" in line:
            process.send_signal(signal.SIGTERM)
            break
    lines += process.stderr.readlines()
    assert process.wait(60) == 75
    assert sum("asked to stop" in line for line in lines) == 1


def test_what_cannot_be_predicted_fails_before_the_first_step(tiny: Any, tmp_path: Path) -> None:
    (tiny.folder / "texts.txt").write_text("\n".join(f"the film was good {n}" for n in range(40)), encoding="utf-8")
    tiny.recipe |= {
        "data": {"train": {"type": "text", "path": "texts.txt"}},
        "task": {"type": "text-generation", "new_tokens": 40},
        "model": {
            "type": "gpt",
            "source": {"scratch": "tiny", "tokenizer": {"type": "bpe", "size": 300}},
            "max_length": 32,
        },
    }
    said: list[str] = []

    class Listening(hft_core.pipeline.progress.Progress):  # type: ignore[name-defined,misc]  # not a public name
        def advance(self, step: int, steps: int, figures: dict[str, float]) -> None:
            said.append(f"step {step}")

    with pytest.raises(hft_core.RecipeError, match="new_tokens 40 leaves no room"):
        hft_core.run(tiny.write(), progress=Listening())
    assert said == []
