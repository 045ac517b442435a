"""What leaving out one part after another costs where they stand behind a dear pretrain stage: shared, and run by run.

    python -m tests.benchmarks.ablation [--corpus 6000] [--epochs 10] [--rows 300] [--parts 6]

Needs ${HFT_DATA}/sst2. A recipe pre-trains a tiny BERT on sentences of SST-2 and fine-tunes it with six techniques, or the
first --parts of them; its arms are the whole recipe, and the whole without each technique: those of `hft ablate` that leave
one out. They are trained with one store, and then each with a store of its own. CPU time of all that a process does, from
its start to its end; one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks import arms

_TECHNIQUES = ("reinit", "layerwise-decay", "gradual-unfreezing", "fgm", "r-drop", "ema")


def main() -> None:
    """Measure both, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=int, default=6000, help="sentences to pre-train on")
    parser.add_argument("--epochs", type=int, default=10, help="of pre-training")
    parser.add_argument("--rows", type=int, default=300, help="labelled sentences")
    parser.add_argument("--parts", type=int, default=len(_TECHNIQUES), choices=range(1, len(_TECHNIQUES) + 1))
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    count = options.parts + 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = _write(folder, options)
        shared = arms.apart(trained, file, folder / "shared", list(range(count)))
        print(json.dumps({"arms": shared["arms"], "cpu_s": shared["cpu_s"]}), flush=True)
        apart = []
        for number in range(count):
            apart.append(arms.apart(trained, file, folder / f"store-{number}", [number]))
            print(json.dumps(apart[-1]), flush=True)
    separate = sum(one["cpu_s"] for one in apart)
    arms.table(
        ["", "CPU s"],
        [
            [f"one ablation of {count} arms", f"{shared['cpu_s']:.0f}"],
            [f"{count} separate runs", f"{separate:.0f}"],
        ],
    )
    share = sum(one["pretraining_s"] for one in apart) / separate
    print(
        f"\npre-training is {share:.0%} of a separate run; the ablation costs {shared['cpu_s'] / separate:.0%} of them all"
    )


def _write(folder: Path, options: argparse.Namespace) -> Path:
    """Write the data and the recipe; gives the recipe's file."""
    sentences = arms.sst2("train", options.corpus)
    (folder / "corpus.txt").write_text("".join(f"{text}\n" for text, _ in sentences), encoding="utf-8")
    for split, some in (("train", sentences[: options.rows]), ("validation", arms.sst2("dev"))):
        lines = [json.dumps({"text": text, "label": label}) for text, label in some]
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    recipe = {
        "name": "cost",
        "data": {
            "train": {"type": "jsonl", "path": "train.jsonl"},
            "validation": {"type": "jsonl", "path": "validation.jsonl"},
            "corpus": {"type": "text", "path": "corpus.txt"},
        },
        "task": {"type": "text-classification"},
        "model": {
            "type": "bert",
            "source": {"scratch": "tiny", "tokenizer": {"type": "wordpiece", "size": 4000}},
            "max_length": 64,
        },
        "stages": [
            {"stage": "pretrain", "objectives": [{"type": "masked-lm", "data": "corpus"}], "epochs": options.epochs},
            {
                "stage": "finetune",
                "objectives": [{"type": "task", "data": "train"}],
                "epochs": 5,
                "techniques": [{"type": name} for name in _TECHNIQUES[: options.parts]],
            },
        ],
    }
    file = folder / "recipe.json"
    file.write_text(json.dumps(recipe), encoding="utf-8")
    return file


def trained(file: Path, store: Path, wanted: list[int]) -> dict[str, Any]:
    """Train some of the arms in a store; gives their titles, and CPU seconds of this process and of pre-training."""
    from hft_core.pipeline.ablation import Ablation
    from hft_core.pipeline.gates_run import Carrier
    from hft_core.pipeline.progress import Progress
    from hft_core.recipe import load_recipe
    from hft_core.registry import load_registry
    from hft_core.store.store import Store
    from hft_core.training.stopping import StopRequest

    registry = load_registry()
    with Carrier(Store(store), Progress(), StopRequest(), wait=True) as carrier:
        ablation = Ablation(load_recipe(file, registry), registry, carrier)
        own = [ablation.full, *(part.out for part in ablation.parts if part.place[:3] == ("stages", 1, "techniques"))]
        for number in wanted:
            carrier.tried(own[number])
        stages = {node.key: node.name.rpartition(": ")[2] for number in wanted for node in own[number].stages}
        notes = [carrier.store.folder(key) / "stage.json" for key, name in stages.items() if "pretrain" in name]
    seconds = sum(sum(json.loads(note.read_text("utf-8"))["cpu_seconds"].values()) for note in notes)
    used = os.times()
    return {
        "arms": [own[number].title for number in wanted],
        "cpu_s": round(used.user + used.system + used.children_user + used.children_system, 1),
        "pretraining_s": round(seconds, 1),
    }


if __name__ == "__main__":
    main()
