"""Shape 10: an image beside the text: a task, a reader and a model of two nested models, all of a third party."""

from __future__ import annotations

import base64
import csv
import io
import json
import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hft_core
from hft_core.registry import load_registry
from hft_core.runtime import load

DISTRIBUTIONS = ("hft-bag", "hft-image-text")
COLOURS = {"red": (220, 30, 30), "blue": (30, 30, 220)}
PATCHES = {"type": "patches", "width": 8}


def png(colour: tuple[int, int, int], side: int = 30) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(buffer, "PNG")
    return buffer.getvalue()


def write_folder(folder: Path, rows: int, seed: int = 0) -> Path:
    """Coloured squares with texts. The label is the colour: the text alone does not tell it."""
    folder.mkdir(parents=True)
    lines = ["file\ttext\tlabel"]
    random = np.random.default_rng(seed)
    for row in range(rows):
        label = ("red", "blue")[row % 2]
        colour = tuple(int(c) for c in np.clip(np.array(COLOURS[label]) + random.integers(-25, 26, 3), 0, 255))
        (folder / f"{row}.png").write_bytes(png(colour))  # type: ignore[arg-type]  # three numbers
        lines.append(f"{row}.png\ta square 方块 n{seed}x{row}\t{label}")
    (folder / "labels.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


class Project:
    """A folder with pictures, and a recipe to change."""

    def __init__(self, folder: Path):
        self.folder = folder
        write_folder(folder / "train", 48)
        write_folder(folder / "dev", 16, seed=1)
        self.recipe: dict[str, Any] = {
            "name": "squares",
            "data": {
                "train": {"type": "image-folder", "path": "train"},
                "validation": {"type": "image-folder", "path": "dev"},
            },
            "task": {"type": "image-text-classification"},
            "model": {
                "type": "late-fusion",
                "text": {"type": "bag", "buckets": 64, "width": 8},
                "image": dict(PATCHES),
            },
            "prepare": {"clean": [{"type": "unicode"}, {"type": "whitespace"}]},
            "stages": [
                {
                    "stage": "finetune",
                    "objectives": [{"type": "task", "data": "train"}],
                    "epochs": 2,
                    "batch_size": 8,
                    "micro_batch": 4,
                    "checkpoint_minutes": 0,
                    "optimizer": {"type": "adamw", "lr": 0.01},
                    "techniques": [{"type": "layerwise-decay", "rate": 0.9}, {"type": "ema", "decay": 0.9}],
                }
            ],
            "precision": "fp32",
        }

    def write(self) -> Path:
        file = self.folder / "recipe.yaml"
        file.write_text(json.dumps(self.recipe, ensure_ascii=False, indent=1), encoding="utf-8")
        return file

    def line(self, key: str) -> int:
        """The line of a key in the written recipe."""
        lines = (self.folder / "recipe.yaml").read_text("utf-8").splitlines()
        return next(number for number, line in enumerate(lines, 1) if f'"{key}"' in line)

    def nodes(self) -> dict[str, Any]:
        """The plan's nodes by name."""
        from hft_core.pipeline.plan import build_plan
        from hft_core.recipe.load import load_recipe

        registry = load_registry()
        return {node.name: node for node in build_plan(load_recipe(self.write(), registry), registry).nodes}

    def keys(self) -> dict[str, str]:
        return {name: node.key for name, node in self.nodes().items()}


@pytest.fixture
def squares(distribution: Any, tmp_path: Path) -> Project:
    for name in DISTRIBUTIONS:
        distribution(name)
    return Project(tmp_path / "project")


@pytest.fixture(scope="module")
def finished(distribution: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run with a bundle; not to be changed."""
    for name in DISTRIBUTIONS:
        distribution(name)
    project = Project(tmp_path_factory.mktemp("finished") / "project")
    project.recipe["export"] = [{"type": "onnx"}]
    return hft_core.run(project.write())


@pytest.fixture
def without_torch(python_path: Any, tmp_path: Path) -> dict[str, str]:
    """PYTHONPATH with the distributions, where torch and transformers cannot be imported."""
    for name in ("torch", "transformers"):
        (tmp_path / "block" / name).mkdir(parents=True)
        (tmp_path / "block" / name / "__init__.py").write_text("raise ImportError('blocked')", encoding="utf-8")
    return {"PYTHONPATH": f"{tmp_path / 'block'}:{python_path(*DISTRIBUTIONS)}"}


def rows_of(folder: Path, count: int) -> list[dict[str, str]]:
    return [
        {"text": f"a square 方块 {i}", "image": base64.b64encode((folder / "dev" / f"{i}.png").read_bytes()).decode()}
        for i in range(count)
    ]


# ---- the recipe ----


def test_nested_models_are_in_the_schema_and_checked(squares: Project, hft_here: Any) -> None:
    assert "is valid" in hft_here("check", squares.write()).out
    schema = json.loads(hft_here("schema").out)
    nested = schema["$defs"]["LateFusion"]["properties"]["text"]
    offered = json.dumps(nested) + json.dumps(schema["$defs"])
    assert all(name in offered for name in ("Bag", "Bert", "Patches"))
    assert "bag" in json.dumps(nested)

    squares.recipe["model"]["text"] = {"type": "bert", "sourc": "here"}
    outcome = hft_here("check", squares.write())
    assert outcome.code == 2
    assert f"line {squares.line('sourc')}" in outcome.err
    assert "model.text.sourc" in outcome.err
    assert "'source'" in outcome.err

    squares.recipe["model"]["text"] = {"type": "bagg"}
    outcome = hft_here("check", squares.write())
    assert outcome.code == 2
    assert "model.text" in outcome.err
    assert "'bag'" in outcome.err


def test_what_a_nested_model_starts_from_is_found_and_counts(squares: Project, tmp_path: Path) -> None:
    registry = load_registry()
    patches = registry.classes("model")["patches"](type="patches", width=8)
    squares.recipe["model"]["image"] |= {"source": "tower"}
    with pytest.raises(hft_core.HftError, match="tower"):
        squares.keys()
    tower = squares.folder / "tower"
    tower.mkdir()
    net = patches.build(None, patches.preprocessor(None, ()), {})
    net.save(tower)
    before = squares.keys()
    assert squares.keys() == before
    net.mixed.bias.data[0] += 1
    net.save(tower)
    after = squares.keys()
    changed = {name for name in before if before[name] != after[name]}
    assert {"preprocessor", "stage finetune-0"} <= changed
    assert not [name for name in changed if name.startswith("prepare")]


def test_the_code_of_a_nested_model_counts(squares: Project) -> None:
    assert "bag (hft-bag)" in squares.nodes()["stage finetune-0"].parts["code"]


def test_a_painted_image_makes_another_run(squares: Project) -> None:
    before = squares.keys()
    (squares.folder / "train" / "3.png").write_bytes(png((0, 200, 0)))
    after = squares.keys()
    assert before["prepare train"] != after["prepare train"]


def test_what_is_no_json_cannot_be_a_golden_row() -> None:
    from hft_plugins.onnx.golden import plain

    for value in ("aGFsbG8=", 3, None, [1.5, {"a": "猫"}]):
        assert plain("image", value) is value
    for value in (b"raw", np.float32(1), float("nan"), {1: 2}):
        with pytest.raises(hft_core.PluginError, match=r"column 'image' holds a .*base64"):
            plain("image", value)


# ---- the run ----


def test_it_learns_from_the_image(finished: Any, proven: Any) -> None:
    proven(finished.bundle)
    assert finished.metrics["validation"]["accuracy"] > 0.9  # majority: 0.5; the text says nothing
    described = json.loads((finished.bundle / "bundle.json").read_text("utf-8"))
    assert described["text"] == ["text"]
    assert described["inputs"] == ["image"]
    assert described["graphs"]["model"]["inputs"] == {
        "grams": ["batch", "sequence"],
        "pixels": ["batch", 3, 24, 24],
    }
    assert {"hft-bag", "hft-image-text", "pillow"} == set(described["requires"])
    gates = json.loads((finished.bundle / "parity.json").read_text("utf-8"))["gates"]
    assert {gate["verdict"] for gate in gates} == {"passed"}
    assert "numbers: logits" in {gate["gate"] for gate in gates}
    golden = load(finished.bundle).golden()
    assert all(set(row) == {"text", "image"} for row, _ in golden)


def test_predict_and_verify_in_a_process_without_torch(
    finished: Any, hft: Any, without_torch: dict[str, str], tmp_path: Path
) -> None:
    rows = rows_of(finished.folder.parents[1], 6)
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row | {"id": i}) + "\n" for i, row in enumerate(rows)), encoding="utf-8")
    outcome = hft("predict", finished.bundle, "--file", file, **without_torch)
    assert outcome.code == 0, outcome.err
    answers = [json.loads(line) for line in outcome.out.splitlines()]
    assert [answer["label"] for answer in answers] == ["red", "blue"] * 3
    assert [answer["id"] for answer in answers] == list(range(6)), "other columns are carried through"
    assert "image" not in answers[0], "an image that was read is not echoed"
    for answer, known in zip(answers, load(finished.bundle).predict(rows), strict=True):
        assert answer["score"] == pytest.approx(known["score"], abs=1e-5)
    verified = hft("verify", finished.bundle, **without_torch)
    assert verified.code == 0, verified.err


def test_a_row_whose_image_is_missing_or_broken_is_the_users_error(
    finished: Any, hft: Any, without_torch: dict[str, str], tmp_path: Path
) -> None:
    good = rows_of(finished.folder.parents[1], 1)[0]
    cut = base64.b64encode(base64.b64decode(good["image"])[:60]).decode()
    bad = {
        "no column 'image'": {"text": "a"},
        "'image' is null": {"text": "a", "image": None},
        "not base64": {"text": "a", "image": "§§"},
        "no sound PNG": {"text": "a", "image": cut},
        "a list": {"text": "a", "image": [1]},
    }
    file = tmp_path / "rows.jsonl"
    rows = [good, *bad.values(), good]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    outcome = hft("predict", finished.bundle, "--file", file, **without_torch)
    assert outcome.code == 3
    assert "Traceback" not in outcome.err
    answers = [json.loads(line) for line in outcome.out.splitlines()]
    assert [answers[0]["label"], answers[-1]["label"]] == ["red", "red"], "the others are answered"
    for message, answer in zip(bad, answers[1:-1], strict=True):
        assert message in answer["error"]
    bundle = load(finished.bundle)
    for message, row in bad.items():
        with pytest.raises(hft_core.DataError, match=f"row 2: .*{message}"):
            bundle.predict([good, row])
    with pytest.raises(hft_core.DataError, match="single text is not enough"):
        bundle.predict(["a"])


def test_a_bundle_may_not_have_any_module_imported(finished: Any, tmp_path: Path) -> None:
    from hft_core.runtime import manifest

    folder = tmp_path / "bundle"
    shutil.copytree(finished.bundle, folder)
    described = json.loads((folder / "bundle.json").read_text("utf-8"))
    described["preprocessor"]["settings"]["text"]["module"] = "antigravity"
    (folder / "bundle.json").write_text(json.dumps(described), encoding="utf-8")
    manifest.write(folder)
    with pytest.raises(hft_core.PluginError, match="antigravity"):
        load(folder)


def test_rows_without_a_sound_image_go_to_the_quarantine(squares: Project, hft_here: Any) -> None:
    (squares.folder / "train" / "0.png").unlink()
    (squares.folder / "train" / "1.png").write_bytes(b"\x89PNG no more")
    table = squares.folder / "train" / "labels.tsv"
    table.write_text(table.read_text("utf-8") + "../dev/0.png\toutside\tred\n", encoding="utf-8")
    squares.recipe["stages"][0]["epochs"] = 1
    assert hft_here("run", squares.write()).code == 0
    report = json.loads((squares.folder / "runs" / "squares" / "report.json").read_text("utf-8"))
    ledger = next(split for split in report["ledger"] if split["name"] == "train")
    assert ledger["quarantined"] == {"no-image": 1, "broken-image": 1, "outside": 1}
    for file in (squares.folder / "dev").glob("*.png"):
        file.unlink()
    outcome = hft_here("run", squares.write())
    assert outcome.code == 3
    assert "Traceback" not in outcome.err
    assert str(squares.folder / "dev") in outcome.err


def test_what_is_saved_is_what_is_built_again(finished: Any) -> None:
    import torch

    from hft_core.pipeline.steps.common import load_preprocessor

    registry = load_registry()
    classes = registry.classes("model")
    model = classes["late-fusion"](
        type="late-fusion",
        text=classes["bag"](type="bag", buckets=64, width=8),
        image=classes["patches"](**PATCHES),
    )
    note = json.loads((finished.folder / "run.json").read_text("utf-8"))
    objects = Path(note["store"]) / "objects"
    preprocessor = load_preprocessor(objects / note["nodes"]["preprocessor"]["key"])
    head = {"main": hft_core.HeadSpec("sequence-classification", size=2)}
    net = model.build(finished.model, preprocessor, head).eval()
    assert not net.new_heads
    rows = rows_of(finished.folder.parents[1], 4)
    arrays = preprocessor.pad(preprocessor.encode([r["text"] for r in rows], [r["image"] for r in rows]))
    logits = net("main", **{name: torch.from_numpy(array) for name, array in arrays.items()})["logits"]
    wanted = load(finished.bundle).predict(rows)
    for row, answer in zip(torch.softmax(logits.double(), 1), wanted, strict=True):
        assert row.max().item() == pytest.approx(answer["score"], abs=1e-5)
    owned = [id(parameter) for part in net.parts() for parameter in part.module.parameters()]
    assert sorted(owned) == sorted(map(id, net.parameters())), "each parameter lies in exactly one part"


@pytest.mark.slow
def test_a_run_that_dies_continues_to_the_same_weights(
    squares: Project, crash_at: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = []
    for name, crashes in (("whole", False), ("dying", True)):
        monkeypatch.setenv("HFT_STORE", str(tmp_path / name))
        if crashes:
            crash_at(5, lambda: hft_core.run(squares.write()))
            assert list((tmp_path / name / "work").glob("*/step-*"))
        model = hft_core.run(squares.write()).model
        weights.append({file.relative_to(model): file.read_bytes() for file in model.rglob("*.safetensors")})
    assert len(weights[0]) == 3
    assert weights[0] == weights[1]


@pytest.mark.slow
def test_its_text_may_be_read_by_a_transformer(squares: Project) -> None:
    squares.recipe["model"]["text"] = {
        "type": "bert",
        "source": {"scratch": "tiny", "tokenizer": {"type": "wordpiece", "size": 200}},
        "max_length": 16,
    }
    squares.recipe["export"] = [{"type": "onnx"}]
    run = hft_core.run(squares.write())
    described = json.loads((run.bundle / "bundle.json").read_text("utf-8"))
    assert list(described["graphs"]["model"]["inputs"]) == [
        "input_ids",
        "attention_mask",
        "token_type_ids",
        "pixels",
    ]
    assert (run.bundle / "text" / "tokenizer.json").is_file()
    load(run.bundle).verify()
    # The tower that was trained here is a model of its own, from which another recipe may start.
    squares.recipe["model"]["text"] = {"type": "bert", "source": str(run.model / "text"), "max_length": 16}
    squares.recipe["export"] = []
    assert hft_core.run(squares.write()).metrics["validation"]["accuracy"] > 0.5


# ---- real data ----


def test_emoji(distribution: Any, data_dir: Path, tmp_path: Path) -> None:
    """Pictures of emoji with their Chinese names, four groups of 60."""
    for name in DISTRIBUTIONS:
        distribution(name)
    source = data_dir / "emoji_image_text"
    with (source / "labels.tsv").open(encoding="utf-8", newline="") as stream:
        table = list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    groups: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in table:
        if row["name_zh"]:
            groups[row["group"]].append(row)
    chosen = [row for name in ("Symbols", "Smileys & Emotion", "Food & Drink") for row in groups[name][:60]]
    (tmp_path / "pictures").mkdir()
    for row in chosen:
        shutil.copy(source / "png72" / row["file"], tmp_path / "pictures")
    lines = ["\t".join(chosen[0]), *("\t".join(row.values()) for row in chosen)]
    (tmp_path / "labels.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    reader = {
        "type": "image-folder",
        "path": str(tmp_path),
        "images": "pictures",
        "text": "name_zh",
        "label": "group",
    }
    recipe = {
        "name": "emoji",
        "data": {"train": reader, "split": {"validation": 0.25}},
        "task": {"type": "image-text-classification"},
        "model": {
            "type": "late-fusion",
            "text": {"type": "bag", "buckets": 2048, "width": 16},
            "image": {"type": "patches", "width": 32},
        },
        "stages": [
            {
                "stage": "finetune",
                "objectives": [{"type": "task", "data": "train"}],
                "epochs": 8,
                "batch_size": 16,
                "optimizer": {"type": "adamw", "lr": 0.005},
            }
        ],
        "export": [{"type": "onnx"}],
    }
    run = hft_core.run(recipe, out=tmp_path / "run")
    assert run.metrics["validation"]["accuracy"] > 0.6  # majority: 0.33
    load(run.bundle).verify()
