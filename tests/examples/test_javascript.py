"""examples/javascript predicts with real bundles what Python predicts, and refuses what it cannot."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hft_core
from hft_core.runtime import load

EXAMPLE = Path(__file__).parents[2] / "examples" / "javascript"
TEXTS = [
    "味道很好，下次还来",
    "  送餐\t太慢\u3000了 ", "太难吃了！！", "𠮷野家 👍🏽", "中英 mixed 混排 text", "", "\x00", "half \ud83d",
    "很好 " * 200, "very" + "y" * 3000, "[CLS] [SEP]",
]  # fmt: skip
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run ``node(script, *arguments)`` in a copy of the example with its packages; skips where that cannot be had."""
    npm = shutil.which("npm")
    if not npm or not shutil.which("node"):
        pytest.skip("needs Node.js (node and npm), which this machine lacks")
    folder = tmp_path_factory.mktemp("javascript")
    shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules"))
    made = _run(npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=folder)
    if made.returncode and not os.environ.get("CI"):
        pytest.skip(f"npm cannot install the example's packages: {made.stderr.strip()[-300:]}")
    assert made.returncode == 0, made.stderr
    yield lambda script, *arguments: _run("node", script, *arguments, cwd=folder)
    shutil.rmtree(folder / "node_modules")  # 300 MB


def _run(*command: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    words = [str(word) for word in command]
    return subprocess.run(words, cwd=cwd, capture_output=True, text=True, encoding="utf-8", timeout=300, check=False)


@pytest.fixture(scope="module")
def chinese(make_tiny: Callable[[Path], Any], write_csv: Callable[..., Path], tmp_path_factory: Any) -> Path:
    """A bundle for Chinese texts in two precisions whose only cleaner lies in tokenizer.json."""
    tiny = make_tiny(tmp_path_factory.mktemp("chinese"))
    good, bad = ("味道很好", "好吃 极了", "下次 还来", "送餐很快"), ("太难吃了", "送餐  太慢", "再也不来", "味道 一般")
    rows = [
        {"review": f"{text}，{place}号 food {tail}", "sentiment": label}
        for place in range(15)
        for tail in ("！", "。")
        for label, texts in (("好评", good), ("差评", bad))
        for text in texts[place % 2 :: 2]
    ]
    write_csv(tiny.folder / "train.csv", rows[::2])
    write_csv(tiny.folder / "dev.csv", rows[1::4])
    tiny.recipe["prepare"] = {"clean": [{"type": "whitespace"}]}
    tiny.recipe["export"] = [{"type": "onnx"}]
    return hft_core.run(tiny.write()).bundle


def test_golden_vectors(chinese: Path, node: Callable[..., Any]) -> None:
    done = node("predict.mjs", chinese, "--verify")
    assert done.returncode == 0, done.stderr
    (report,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert report["precision"] == "fp32"
    golden = [row["review"] for row, _ in load(chinese).golden()]
    assert report["rows"] == len(golden) == 12
    assert all("号" in text for text in golden)
    assert report["drift"] < 1e-5


def test_hard_texts_get_the_same_answers(chinese: Path, node: Callable[..., Any], tmp_path: Path) -> None:
    script = """
        import { readFile } from "node:fs/promises";
        import { load } from "./bundle.mjs";
        const [folder, file] = process.argv.slice(1);
        const texts = JSON.parse(await readFile(file, "utf-8"));
        for (const answer of await (await load(folder)).predict(texts)) console.log(JSON.stringify(answer));
    """
    file = tmp_path / "texts.json"
    file.write_text(json.dumps(TEXTS), encoding="utf-8")
    done = node("--input-type=module", "-e", script, chinese, file)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    bundle = load(chinese)
    assert len({answer["score"] for answer in answers}) > 6
    for text, answer in zip(TEXTS, answers, strict=True):
        [expected] = bundle.predict([text])
        assert answer["label"] == expected["label"]
        assert answer["scores"] == pytest.approx(expected["scores"], abs=1e-5), text[:30]


def test_other_golden_vectors_are_an_error(chinese: Path, node: Callable[..., Any], tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(chinese, folder, copy_function=shutil.copyfile)
    golden = (folder / "golden.jsonl").read_text("utf-8")
    (folder / "golden.jsonl").write_text(golden.replace('"差评": 0.', '"差评": 0.3'), encoding="utf-8")
    done = node("predict.mjs", folder, "--verify")
    assert done.returncode == 1
    assert "it predicts" in done.stderr


def test_cleaners_that_are_not_in_the_tokenizer_are_refused(exported: Path, node: Callable[..., Any]) -> None:
    done = node("predict.mjs", exported, "a good film")
    assert done.returncode == 1
    assert "the cleaners unicode, html, whitespace are not in tokenizer.json" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda bundle: bundle.update(format=3), "has format 3"),
        (lambda bundle: bundle["task"].update(module="hft_plugins.token_classification.runtime"), "in Python only"),
        (lambda bundle: bundle["preprocessor"].update(module="my.images"), "my.images"),
    ],
)
def test_other_bundles_are_refused(
    chinese: Path, node: Callable[..., Any], tmp_path: Path, change: Callable[[Any], None], reason: str
) -> None:
    description = json.loads((chinese / "bundle.json").read_text("utf-8"))
    change(description)
    (tmp_path / "bundle.json").write_text(json.dumps(description), encoding="utf-8")
    done = node("predict.mjs", tmp_path, "a text")
    assert done.returncode == 1
    assert reason in done.stderr


def test_the_lock_file_names_no_registry() -> None:
    assert "resolved" not in (EXAMPLE / "package-lock.json").read_text("utf-8")
