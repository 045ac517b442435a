"""What a search costs and finds: `python -m tests.benchmarks.search`, on real rows of ${HFT_DATA}.

cost (the default): 40 trials over fine-tuning fields of a recipe whose pretrain stage is most of a run, against separate
    runs of as many trials' recipes, each with a store of its own; processor time of everything, in both.
--quality: from a learning rate ten times too low and too high, hft search with 20 trials and hft tune with 20 runs, against
    a grid of 12 points; on citation_intent, sciie and 1,000 rows of SST-2. Takes hours on two cores; with --folder what was
    done stays there, and the same call goes on.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import queue
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.arms import MINILM, ROOT, require, run, sst2, table

GRID = [round(1e-6 * 10 ** (3 * place / 11), 9) for place in range(12)]
"""Learning rates from 1e-6 to 1e-3."""
LR = "stages.0.optimizer.lr"


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--separate", type=int, help="separate runs that are measured; default: as many as trials")
    parser.add_argument("--corpus", type=int, default=2000, help="texts to pre-train on")
    parser.add_argument("--quality", nargs="*", choices=list(SETS), help="these sets; without names: all")
    parser.add_argument("--ways", nargs="+", choices=["search", "tune"], default=["search", "tune"])
    parser.add_argument("--folder", type=Path, help="where --quality keeps what it has done; default: nowhere")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.quality is None:
            cost(Path(folder), options.trials, options.separate or options.trials, options.corpus)
        else:
            for name in options.quality or SETS:
                quality((options.folder or Path(folder)) / name, name, min(options.trials, 20), options.ways)


# ---- what it costs ----


def cost(folder: Path, trials: int, separate: int, corpus: int) -> None:
    """Search once, then train the same recipes apart."""
    rows = sst2("train", corpus)
    write(folder / "train.csv", rows[:300])
    write(folder / "dev.csv", sst2("dev", 200))
    write(folder / "test.csv", sst2("test", 200))
    (folder / "corpus.txt").write_text("\n".join(text for text, _ in rows), encoding="utf-8")
    recipe = {
        "name": "cost",
        "data": {
            **{split: {"type": "csv", "path": f"{file}.csv"} for split, file in SPLITS.items()},
            "corpus": {"type": "text", "path": "corpus.txt"},
        },
        "task": {"type": "text-classification", "text": "text", "label": "label"},
        "model": {
            "type": "bert",
            "source": {"scratch": "tiny", "tokenizer": {"type": "wordpiece", "size": 4000}},
            "max_length": 64,
        },
        "stages": [
            {"stage": "pretrain", "objectives": [{"type": "masked-lm", "data": "corpus"}], "epochs": 5},
            {
                "stage": "finetune",
                "objectives": [{"type": "task", "data": "train"}],
                "epochs": 5,
                "optimizer": {"type": "adam", "lr": 1e-4},
            },
        ],
        "evaluate": {"plain": False},
        "precision": "fp32",
        "search": {
            "space": {
                "stages.1.optimizer.lr": {"low": 1e-5, "high": 1e-2, "log": True},
                "stages.1.batch_size": {"choices": [8, 16, 32]},
                "stages.1.schedule.warmup": {"low": 0.0, "high": 0.4},
            },
            "trials": trials,
        },
    }
    used, found = search(folder, recipe)
    apart = [alone(folder, recipe, trial["values"], number) for number, trial in enumerate(found["trials"][:separate])]
    each = statistics.mean(one["cpu_seconds"] for one in apart)
    share = statistics.mean(one["pretrain_s"] / one["cpu_seconds"] for one in apart)
    states = [trial["state"] for trial in found["trials"]]
    table(
        ["", "CPU s"],
        [
            [f"search: {trials} trials ({states.count('pruned')} ended early), and the best one's run", f"{used:.0f}"],
            [f"{trials} separate runs ({len(apart)} measured, {each:.1f} each)", f"{each * trials:.0f}"],
        ],
    )
    print(
        f"\npretraining is {share:.0%} of a separate run's processor time; the search costs {used / each / trials:.0%}"
    )


def alone(folder: Path, recipe: dict[str, Any], values: dict[str, Any], number: int) -> dict[str, Any]:
    """Train one trial's recipe with a store of its own, to its end; as the search does it, in one process."""
    from hft_core.recipe import load_recipe
    from hft_core.recipe.values import variant
    from hft_core.registry import load_registry
    from hft_core.search.checks import checked
    from hft_core.search.process import Process

    registry = load_registry()
    raw = variant(checked(load_recipe(recipe, registry, folder=folder), registry), registry, values).raw
    store = folder / f"store-{number}"
    job = {
        "folder": str(folder), "store": str(store), "plugins": [], "disabled": {}, "code": {}, "recipe": raw,
        "title": "alone",
    }  # fmt: skip
    lines: queue.Queue[tuple[Process, Any]] = queue.Queue()
    process = Process(job, folder / "logs" / f"{number}.log", 1, lines)
    while (said := lines.get()[1])["event"] != "exit":
        if said["event"] == "figure":
            process.answer(True)
        elif said["event"] != "keys":
            last = said
    stages = [json.loads(file.read_text("utf-8")) for file in store.glob("objects/*/stage.json")]
    took = [(sum(note["cpu_seconds"].values()), _on_text(note)) for note in stages]
    print(json.dumps({"separate": number, **{key: last[key] for key in ("event", "cpu_seconds")}}), flush=True)
    return {
        **last,
        "pretrain_s": sum(seconds for seconds, on_text in took if on_text),
    }


def _on_text(note: dict[str, Any]) -> bool:
    """Whether a stage was measured by its loss on held-out text: the pretrain stage."""
    return any(name.endswith("loss") for point in note["history"] for name in point.get("validation", ()))


# ---- what it finds ----


def quality(folder: Path, name: str, trials: int, ways: Sequence[str]) -> None:
    """Search and tune from a bad learning rate, below and above, and look where the grid's best ends."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, rows in SETS[name]().items():
        write(folder / f"{SPLITS[split]}.csv", rows)
    recipe = {
        "name": name,
        "data": {split: {"type": "csv", "path": f"{file}.csv"} for split, file in SPLITS.items()},
        "task": {"type": "text-classification", "text": "text", "label": "label"},
        "model": {"type": "bert", "source": MINILM, "max_length": 128},
        "stages": [
            {
                "stage": "finetune",
                "objectives": [{"type": "task", "data": "train"}],
                "epochs": 3,
                "optimizer": {"type": "adam", "lr": 1e-4},
            }
        ],
        "evaluate": {"metrics": [{"type": "f1", "average": "macro"}], "plain": False},
    }
    grid = [
        alone(folder, recipe | {"search": {"space": {LR: {"choices": GRID}}}}, {LR: lr}, n) for n, lr in enumerate(GRID)
    ]
    best = max(range(len(GRID)), key=lambda place: grid[place].get("figure", -1.0))
    rows = [[f"grid of 12: lr {GRID[best]:.2g}", f"{grid[best]['figure']:.4f}", *tested(folder, recipe, GRID[best])]]
    for title, lr in (("÷ 10", 1e-5), ("× 10", 1e-3)):
        recipe["name"] = f"{name}-{lr}"
        recipe["stages"][0]["optimizer"]["lr"] = lr  # type: ignore[index]
        if "search" in ways:
            space = {LR: {"low": 1e-6, "high": 1e-3, "log": True}, "stages.0.batch_size": {"choices": [16, 32]}}
            _, found = search(folder, recipe | {"search": {"space": space, "trials": trials}})
            rows.append(ended(f"search from lr {title}", found))
        if "tune" in ways:
            found = tune(folder, recipe)
            kept = sum(one["gate"]["kept"] for one in found["rounds"])
            rows.append(ended(f"tune from lr {title}: {found['runs']} runs, {kept} changes kept", found))
        print(rows[-1], flush=True)
    table([name, "validation f1", "test f1", "95 %"], rows)


def ended(title: str, found: dict[str, Any]) -> list[str]:
    """Where the run of the best trial, or of the tuned recipe, ended."""
    metrics = json.loads((Path(found["run"]) / "report.json").read_text("utf-8"))["metrics"]
    test, own = (metrics[split]["f1"] for split in ("test", "validation"))
    return [title, f"{own['value']:.4f}", f"{test['value']:.4f}", written(test)]


def tune(folder: Path, recipe: dict[str, Any]) -> dict[str, Any]:
    """Tune a recipe with five seeds, 20 runs at most; three see little where some of them come to nothing."""
    recipe = recipe | {"evaluate": recipe["evaluate"] | {"seeds": 5}, "name": f"{recipe['name']}-tune"}
    file = folder / f"{recipe['name']}.json"
    file.write_text(json.dumps(recipe), encoding="utf-8")
    command = [sys.executable, "-m", "hft_core", "tune", file, "--runs", "20", "--json"]
    found: dict[str, Any] = json.loads(run(command, HFT_STORE=str(folder / "store"), OMP_NUM_THREADS="1").output)
    return found


def tested(folder: Path, recipe: dict[str, Any], lr: float) -> list[str]:
    """The test figure of the grid's best point, with its interval."""
    file = folder / "grid.json"
    file.write_text(json.dumps(recipe | {"name": "grid"}), encoding="utf-8")
    run([sys.executable, "-m", "hft_core", "run", file, "--set", f"{LR}={lr}"], HFT_STORE=str(folder / "store-run"))
    report = json.loads((folder / "runs" / "grid" / "report.json").read_text("utf-8"))
    test = report["metrics"]["test"]["f1"]
    return [f"{test['value']:.4f}", written(test)]


def written(figure: dict[str, float]) -> str:
    """An interval."""
    return f"{figure['low']:.4f} … {figure['high']:.4f}"


# ---- both ----

SPLITS = {"train": "train", "validation": "dev", "test": "test"}


def search(folder: Path, recipe: dict[str, Any]) -> tuple[float, dict[str, Any]]:
    """Carry a search out; gives its processor time, that of its trials and of the best one's run included, and what it found."""
    file = folder / f"{recipe['name']}.json"
    file.write_text(json.dumps(recipe), encoding="utf-8")
    command = [sys.executable, "-m", "hft_core", "search", file, "--json"]
    used = run(command, HFT_STORE=str(folder / "store"), OMP_NUM_THREADS="1")
    return used.cpu_s, json.loads(used.output)


def write(file: Path, rows: list[tuple[str, str]]) -> None:
    """Write texts with labels as CSV."""
    with file.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("text", "label"), *rows])


def _sst2_small() -> dict[str, list[tuple[str, str]]]:
    return {"train": sst2("train", 1000), "validation": sst2("dev"), "test": sst2("test")}


def _lines(name: str) -> dict[str, list[tuple[str, str]]]:
    """A set with a JSON object per line."""
    folder = Path(os.environ.get("HFT_DATA") or ROOT.parent / "shared" / "data") / name
    found = {}
    for split, file in SPLITS.items():
        require(folder / f"{file}.txt")
        lines = map(json.loads, (folder / f"{file}.txt").read_text("utf-8").splitlines())
        found[split] = [(line["text"], str(line["label"])) for line in lines]
    return found


SETS: dict[str, Any] = {
    "citation_intent": lambda: _lines("citation_intent"),
    "sciie": lambda: _lines("sciie"),
    "sst2": _sst2_small,
}

if __name__ == "__main__":
    main()
