"""What tests of all areas share: real data, a recipe that trains in seconds, and the command `hft`."""

from __future__ import annotations

import csv
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).parents[1]

# Set before torch is imported: tests run beside each other, and waiting threads must not spin.
os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

Rows = list[dict[str, Any]]


class Outcome(NamedTuple):
    """What a command left."""

    code: int
    out: str
    err: str


@dataclass
class Scratch:
    """A folder with small CSV files, and a recipe (a dict, to be changed at will) that trains on them in seconds."""

    folder: Path
    recipe: dict[str, Any]

    def write(self, name: str = "recipe.yaml") -> Path:
        """Write the recipe; JSON is YAML, and with indents every key has its own line.

        Without the baseline that is trained, unless the recipe asks for it.
        """
        file = self.folder / name
        evaluate = self.recipe.get("evaluate", {})
        quick = {"evaluate": {"plain": False} | evaluate} if isinstance(evaluate, dict) else {}
        file.write_text(json.dumps(self.recipe | quick, ensure_ascii=False, indent=1), encoding="utf-8")
        return file


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder with real data sets; skips where there is none."""
    folder = Path(os.environ.get("HFT_DATA") or ROOT.parent / "shared" / "data").absolute()
    if not folder.is_dir():
        pytest.skip(f"needs real data: there is no folder {folder}; set HFT_DATA")
    return folder


@pytest.fixture(scope="session")
def reviews() -> Callable[..., Rows]:
    """Give ``reviews(count, seed=0)``: different short texts with the labels neg and pos in turn."""

    def make(count: int, seed: int = 0) -> Rows:
        draw = random.Random(seed)
        words = [
            "the",
            "film",
            "plot",
            "phone",
            "battery",
            "case",
            "was",
            "and",
            "is",
            "very",
            "quite",
            "so",
            "today",
            "again",
        ]
        tones = {"neg": ["bad", "awful", "poor", "sad", "broken"], "pos": ["good", "great", "fine", "lovely", "superb"]}
        labels = [("neg", "pos")[number % 2] for number in range(count)]
        return [
            {
                "review": " ".join([*draw.sample(words, 5), draw.choice(tones[label]), f"n{seed}x{n}"]),
                "sentiment": label,
            }
            for n, label in enumerate(labels)
        ]

    return make


@pytest.fixture(scope="session")
def write_csv() -> Callable[[Path, Rows], Path]:
    """Give ``write_csv(file, rows)``."""

    def write(file: Path, rows: Rows) -> Path:
        with file.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        return file

    return write


@pytest.fixture(scope="session")
def make_tiny(reviews: Callable[..., Rows], write_csv: Callable[[Path, Rows], Path]) -> Callable[[Path], Scratch]:
    """Give ``make_tiny(folder)``: see `tiny`."""

    def make(folder: Path) -> Scratch:
        folder.mkdir(parents=True, exist_ok=True)
        write_csv(folder / "train.csv", reviews(60))
        write_csv(folder / "dev.csv", reviews(20, seed=1))
        recipe = {
            "name": "tiny",
            "data": {
                "train": {"type": "csv", "path": "train.csv"},
                "validation": {"type": "csv", "path": "dev.csv"},
            },
            "task": {"type": "text-classification", "text": "review", "label": "sentiment"},
            "model": {
                "type": "bert",
                "source": {"scratch": "tiny", "tokenizer": {"type": "wordpiece", "size": 300}},
                "max_length": 32,
            },
            "stages": [
                {
                    "stage": "finetune",
                    "objectives": [{"type": "task", "data": "train"}],
                    "epochs": 1,
                    "optimizer": {"type": "adam", "lr": 0.001},
                }
            ],
            "precision": "fp32",
        }
        return Scratch(folder, recipe)

    return make


@pytest.fixture
def tiny(make_tiny: Callable[[Path], Scratch], tmp_path: Path) -> Scratch:
    """A scratch BERT of two layers with a tokenizer of 300 tokens, on 60 + 20 rows, for one epoch."""
    return make_tiny(tmp_path / "project")


@pytest.fixture(scope="session")
def exported(make_tiny: Callable[[Path], Scratch], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of such a run, with every text cleaner; not to be changed."""
    import hft_core

    tiny = make_tiny(tmp_path_factory.mktemp("exported"))
    tiny.recipe["prepare"] = {"clean": [{"type": "unicode"}, {"type": "html"}, {"type": "whitespace"}]}
    tiny.recipe["export"] = [{"type": "onnx"}]
    return hft_core.run(tiny.write()).bundle


@pytest.fixture(scope="session")
def proven() -> Callable[[Path], None]:
    """Give ``proven(bundle)``: holds that an export was compared with torch as it has to be.

    Every output at 9 shapes or more, where there is a mask full and with right, left and hole padding, within 1e-4 ×
    scale; no decision differs.
    """

    def check(bundle: Path) -> None:
        rows = json.loads((bundle / "parity.json").read_text("utf-8"))["gates"]
        gates = {gate["gate"]: gate for gate in rows}
        assert all(gate["verdict"] == "passed" for name, gate in gates.items() if "int8" not in name)
        assert gates["decisions: fp32"]["measured"].startswith("0 flips")
        graphs = json.loads((bundle / "bundle.json").read_text("utf-8"))["graphs"]
        assert len(gates) == len(rows), "two gates have one name"
        for name, graph in graphs.items():
            of = "" if name == "model" else f"{name}: "
            for output in graph["outputs"]:
                gate = gates[f"{of}numbers: {'cache' if output.startswith('present.') else output}"]
                bound, cases = gate["bound"].removeprefix("≤ ").split(" × scale in ")
                assert float(bound) <= 1e-4
                assert int(cases.removesuffix(" cases")) >= 9 * (4 if "attention_mask" in graph["inputs"] else 1)
                assert float(gate["measured"].split()[0]) <= 1e-4

    return check


@pytest.fixture
def surroundings(tmp_path: Path) -> dict[str, str]:
    """Environment of commands: a store of the test's own, one thread, no network."""
    ours = {"HFT_STORE": str(tmp_path / "store"), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HFT_")}
    return kept | ours


@pytest.fixture
def start(surroundings: Mapping[str, str], tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Give ``start(*arguments, cwd=…, before=…, NAME=value)``: begins `hft` in a process of its own.

    `before` is called in that process before anything else.
    """

    def begin(
        *arguments: object, cwd: Path = tmp_path, before: Callable[[], None] | None = None, **environment: str
    ) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "hft_core", *map(str, arguments)]
        process = subprocess.Popen(
            command, cwd=cwd, env={**surroundings, **environment}, text=True, encoding="utf-8",
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=before,
        )  # fmt: skip
        begun.append(process)
        return process

    begun: list[subprocess.Popen[str]] = []
    yield begin
    for process in begun:
        process.kill()
        process.communicate()


@pytest.fixture
def hft(start: Callable[..., subprocess.Popen[str]]) -> Callable[..., Outcome]:
    """Give ``hft(*arguments, cwd=…, before=…, NAME=value)``: runs `hft` in a process of its own, see `start`."""

    def run(*arguments: object, **options: Any) -> Outcome:
        process = start(*arguments, **options)
        out, err = process.communicate(timeout=900)
        return Outcome(process.returncode, out, err)

    return run


@pytest.fixture
def hft_here(
    surroundings: Mapping[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> Callable[..., Outcome]:
    """Like `hft`, but within this process: torch is imported once for all tests."""
    from hft_core.cli.main import main

    def run(*arguments: object, cwd: Path = tmp_path, **environment: str) -> Outcome:
        capsys.readouterr()
        with monkeypatch.context() as patch:
            patch.chdir(cwd)
            patch.setattr(sys, "argv", ["hft", *map(str, arguments)])
            for name, value in {"HFT_STORE": surroundings["HFT_STORE"], **environment}.items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as stopped:
                main()
        return Outcome(int(stopped.value.code or 0), *capsys.readouterr())

    return run


class Crash(BaseException):
    """Ends a run where a killed process would have ended."""


@pytest.fixture
def crash_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], object]], None]:
    """Give ``crash_at(step, work)``: does `work`, which ends without any clean-up once it has kept the given step."""

    def crash(wanted: int, work: Callable[[], object]) -> None:
        from hft_core.training import checkpoint

        save = checkpoint.save

        def saved(folder: Path, step: int, *rest: Any) -> None:
            save(folder, step, *rest)
            if step == wanted:
                raise Crash

        with monkeypatch.context() as patch:
            patch.setattr(checkpoint, "save", saved)
            with pytest.raises(Crash):
                work()

    return crash
