from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from hft_core import DamagedError, DataError, PluginError, RecipeError
from hft_core.runtime import load, manifest
from hft_core.runtime.bundle import Bundle
from hft_core.runtime.session import OnnxCall

from .conftest import LABELS, seal, write_graph

ROOT = Path(__file__).parents[2]


def test_texts_and_rows_give_the_same_predictions(bundle_folder: Path) -> None:
    bundle = load(bundle_folder, threads=1)
    assert bundle.labels == LABELS
    assert bundle.name == "toy"
    texts = ["good", "好吃", "", "😀 \x00 nothing", "bad " * 50, "half \ud83d surrogate"]
    from_texts = bundle.predict(texts)
    assert (
        from_texts == bundle.predict([{"review": text} for text in texts]) == bundle.predict_columns({"review": texts})
    )
    for prediction in from_texts:
        assert set(prediction) == {"label", "score", "scores"}
        assert sum(prediction["scores"].values()) == pytest.approx(1)
        assert prediction["score"] == max(prediction["scores"].values())
        json.dumps(prediction)


def test_cleaners_run_before_the_tokenizer(bundle_folder: Path) -> None:
    # Full-width letters are unknown words to the tokenizer; NFKC makes them plain.
    wide, plain = load(bundle_folder).predict(["ｇｏｏｄ", "good"])
    assert wide == plain


def test_other_columns_are_carried_through(bundle_folder: Path) -> None:
    (answer,) = load(bundle_folder).predict([{"id": 7, "review": "good", "label": "gold", "备注": None}])
    assert answer["id"] == 7
    assert answer["备注"] is None
    assert answer["input_label"] == "gold"
    assert answer["label"] in LABELS
    assert "review" not in answer


@pytest.mark.parametrize(
    ("row", "message"),
    [({"text": "x"}, "'review'.*'text'"), ({"review": None}, "null"), ({"review": 3}, "int"), (5, "neither")],
)
def test_a_row_without_its_text_is_named(bundle_folder: Path, row: object, message: str) -> None:
    with pytest.raises(DataError, match=f"row 2: .*{message}"):
        load(bundle_folder).predict(["good", row])  # type: ignore[list-item]  # wrong on purpose


def test_the_other_rows_are_answered_where_one_cannot_be(bundle_folder: Path) -> None:
    bundle = load(bundle_folder)
    rows: list[Any] = [{"review": "good"}, {"text": "x"}, {"review": None}, 5, "bad", {"review": "好", "error": "mine"}]
    answers = bundle.predict(rows, keep_going=True)
    assert [sorted(answer) for answer in answers] == [
        *[["label", "score", "scores"], ["error"], ["error"], ["error"], ["label", "score", "scores"]],
        ["input_error", "label", "score", "scores"],
    ]
    assert "no column 'review'" in answers[1]["error"]
    assert answers[0]["label"] == bundle.predict(["good"])[0]["label"]
    assert answers[4]["label"] == bundle.predict(["bad"])[0]["label"]
    assert [*bundle.stream(iter(rows), keep_going=True, block=2)] == answers


def test_100_000_characters_are_cut_where_the_model_ends(bundle_folder: Path) -> None:
    bundle = load(bundle_folder)
    long, short = bundle.predict(["good " * 20_000, "good " * 8])
    assert long == short  # its longest input is eight words
    for text in ("好" * 100_000, "\x00" * 100_000, "\ud800" * 100_000, " " * 100_000):
        assert bundle.predict([text])[0]["label"] in LABELS


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"facts": {"labels": LABELS[:2]}}, r"has 2 labels \(bad, good, …\), but the graph 'model' gives 3 logits"),
        ({"outputs": {"logits": ["batch", 2]}}, r"'logits': \['batch', 3\].*describes.*'batch', 2"),
        ({"outputs": {"scores": ["batch", 3]}}, "describes.*scores"),
        ({"inputs": {"input_ids": ["batch", "sequence"]}}, "attention_mask"),
    ],
)
def test_labels_and_graphs_that_do_not_match_are_found_when_opened(
    bundle_folder: Path, changes: dict[str, Any], message: str
) -> None:
    description = json.loads((bundle_folder / "bundle.json").read_text("utf-8"))
    for part in (description["task"], description["graphs"]["model"]):
        part.update({key: value for key, value in changes.items() if key in part})
    seal(bundle_folder, task=description["task"], graphs=description["graphs"])
    with pytest.raises(DamagedError, match=message):
        load(bundle_folder)


def test_a_description_that_lacks_a_part_is_damaged(bundle_folder: Path) -> None:
    file = bundle_folder / "bundle.json"
    file.write_text('{"format": 1, "name": "toy"}', encoding="utf-8")
    manifest.write(bundle_folder)
    with pytest.raises(DamagedError, match="does not say 'task'"):
        load(bundle_folder)


def test_one_string_is_not_a_list_of_letters(bundle_folder: Path) -> None:
    with pytest.raises(TypeError, match="list"):
        load(bundle_folder).predict("good")


def test_many_rows_stream_in_blocks(bundle_folder: Path) -> None:
    bundle = load(bundle_folder)
    texts = [("good", "bad", "好吃 so-so")[i % 3] for i in range(50)]
    streamed = list(bundle.stream(iter(texts), block=7))
    assert [one["label"] for one in streamed] == [one["label"] for one in bundle.predict(texts)]
    remaining = iter(texts)
    next(bundle.stream(remaining, block=7))
    assert len(list(remaining)) == len(texts) - 7  # no more than a block is held


def test_verify_counts_files_and_rows(bundle_folder: Path) -> None:
    report = load(bundle_folder).verify()
    assert report["rows"] == 5
    assert report["files"] == 5
    assert report["drift"] < 1e-6


ENTITY = {"start": 0, "end": 4, "text": "good", "type": "x", "score": 0.501}


@pytest.mark.parametrize(
    ("expected", "found", "alike"),
    [
        # A tie that this machine decides the other way: another number of entities.
        ({"entities": [ENTITY], "margin": 4e-4}, {"entities": [], "margin": 1e-4}, True),
        ({"entities": [ENTITY], "margin": 4e-3}, {"entities": [], "margin": 1e-4}, False),
        # Sums over hundreds of tokens.
        ({"text": "so", "tokens": 300, "nll": 701.2}, {"text": "so", "tokens": 300, "nll": 701.5}, True),
        ({"text": "so", "tokens": 300, "nll": 701.2}, {"text": "so", "tokens": 300, "nll": 702.2}, False),
        # The same decision of other numbers, tie or not.
        ({"label": "a", "score": 0.5, "margin": 4e-4}, {"label": "a", "score": 0.6, "margin": 4e-4}, False),
    ],
)
def test_verify_excuses_ties_and_compares_sums_relatively(
    bundle_folder: Path, monkeypatch: pytest.MonkeyPatch, expected: Any, found: Any, alike: bool
) -> None:
    bundle = load(bundle_folder)
    monkeypatch.setattr(bundle, "golden", lambda: [({"review": "good"}, expected)])
    monkeypatch.setattr(bundle, "predict", lambda rows: [found for _ in rows])
    if alike:
        assert bundle.verify()["drift"] < 1e-3
    else:
        with pytest.raises(DamagedError, match=r"golden\.jsonl, line 1"):
            bundle.verify()


def test_the_manifest_is_one_that_sha256sum_reads(bundle_folder: Path) -> None:
    done = subprocess.run(["sha256sum", "-c", manifest.NAME], cwd=bundle_folder, capture_output=True, check=False)
    assert done.returncode == 0


def test_a_run_folder_stands_for_its_bundle(bundle_folder: Path) -> None:
    assert load(bundle_folder.parent).folder == bundle_folder
    with pytest.raises(RecipeError, match=r"bundle\.json"):
        load(bundle_folder / "onnx")


def test_a_run_folder_with_several_bundles_names_them(bundle_folder: Path) -> None:
    run = bundle_folder.parent
    shutil.copytree(bundle_folder, run / "bundle-topic")
    bundle_folder.rename(run / "bundle-tone")
    (run / "bundle-other").mkdir()
    with pytest.raises(RecipeError, match=r"bundles in it: bundle-tone, bundle-topic; name one.*/bundle-tone"):
        load(run)
    assert load(run / "bundle-topic").labels == LABELS


def test_an_unknown_precision_is_refused(bundle_folder: Path) -> None:
    with pytest.raises(RecipeError, match=r"'int8'.*fp32"):
        load(bundle_folder, precision="int8")


def test_an_unknown_provider_is_refused(bundle_folder: Path) -> None:
    with pytest.raises(PluginError, match=r"'abacus'.*cpu"):
        load(bundle_folder, providers="abacus")
    with pytest.raises(PluginError, match=r"'abacus'.*cpu"):
        load(bundle_folder, providers=["cpu", "abacus"])


OTHER = next((name for name in onnxruntime.get_available_providers() if name.startswith("Azure")), None)
"""A provider that takes no operator of our graphs, so all of it still runs on the CPU."""


@pytest.mark.skipif(OTHER is None, reason="this onnxruntime has no provider but the CPU")
def test_another_provider_than_that_of_the_parity_report_is_proven_when_opened(
    bundle_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []
    check = Bundle.check_golden

    def watched(bundle: Bundle) -> dict[str, Any]:
        checked.append(bundle.provider)
        return check(bundle)

    monkeypatch.setattr(Bundle, "check_golden", watched)
    assert load(bundle_folder).provider == "CPUExecutionProvider"
    assert checked == []
    assert load(bundle_folder, providers=["azure", "cpu"]).verify()["provider"] == OTHER
    assert checked == [OTHER, OTHER]  # when opened, and by verify
    (bundle_folder / "parity.json").write_text(json.dumps({"provider": OTHER}), encoding="utf-8")
    manifest.write(bundle_folder)
    checked.clear()
    load(bundle_folder, providers="AzureExecutionProvider")
    assert checked == []
    load(bundle_folder)
    assert checked == ["CPUExecutionProvider"]
    write_graph(bundle_folder / "onnx" / "model.onnx", scale=3.0)
    seal(bundle_folder)
    with pytest.raises(DamagedError, match=r"with CPUExecutionProvider this machine predicts"):
        load(bundle_folder)


def test_a_provider_that_cannot_start_is_an_error_not_a_slower_answer(
    bundle_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = onnxruntime.InferenceSession

    def without_device(file: str, options: Any, providers: list[str]) -> Any:
        assert providers == ["CUDAExecutionProvider", "CPUExecutionProvider"]
        return made(file, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    monkeypatch.setattr(onnxruntime, "InferenceSession", without_device)
    with pytest.raises(PluginError, match="CUDAExecutionProvider could not be started"):
        load(bundle_folder, providers="cuda")


def test_a_graph_that_this_onnxruntime_cannot_run_is_no_defect_of_hft(bundle_folder: Path) -> None:
    call = OnnxCall({"model": bundle_folder / "onnx" / "model.onnx"})
    ids = np.full((1, 2), 10_000)  # beyond the table
    with pytest.raises(PluginError, match=r"onnxruntime [\d.]+ cannot run the graph 'model'"):
        call("model", input_ids=ids, attention_mask=np.ones_like(ids))


def test_waiting_threads_sleep(bundle_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    made = onnxruntime.InferenceSession
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *a, **k: seen.append(a[1]) or made(*a, **k))
    load(bundle_folder, threads=3)
    assert seen[0].intra_op_num_threads == 3
    for pool in ("intra", "inter"):
        assert seen[0].get_session_config_entry(f"session.{pool}_op.allow_spinning") == "0"


@pytest.mark.parametrize("name", ["onnx/model.onnx", "onnx/model.onnx_data", "tokenizer.json", "bundle.json"])
def test_a_cut_off_file_is_found_when_opened(bundle_folder: Path, name: str) -> None:
    file = bundle_folder / name
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(DamagedError, match=Path(name).name):
        load(bundle_folder)


@pytest.mark.parametrize("name", ["onnx/model.onnx_data", "tokenizer.json", "golden.jsonl", "MANIFEST.sha256"])
def test_a_missing_file_is_found_when_opened(bundle_folder: Path, name: str) -> None:
    (bundle_folder / name).unlink()
    with pytest.raises(DamagedError, match=Path(name).name):
        load(bundle_folder)


def test_an_altered_tokenizer_is_found_when_opened(bundle_folder: Path) -> None:
    file = bundle_folder / "tokenizer.json"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace('"good":2', '"good":3').replace('"good": 2', '"good": 3'), encoding="utf-8")
    assert file.read_text(encoding="utf-8") != text
    with pytest.raises(DamagedError, match=r"tokenizer\.json was changed"):
        load(bundle_folder)


@pytest.mark.parametrize("name", ["onnx/model.onnx", "onnx/model.onnx_data"])
def test_a_flipped_bit_in_the_graph_is_found_by_verify(bundle_folder: Path, name: str) -> None:
    file = bundle_folder / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(DamagedError, match=Path(name).name):  # a graph so broken that it cannot be opened counts too
        load(bundle_folder).verify()


def test_other_weights_under_a_right_manifest_are_found_by_the_golden_rows(bundle_folder: Path) -> None:
    write_graph(bundle_folder / "onnx" / "model.onnx", scale=3.0)
    seal(bundle_folder)
    with pytest.raises(DamagedError, match=r"golden\.jsonl, line \d"):
        load(bundle_folder).verify()


def test_a_bundle_cannot_import_what_it_likes(
    bundle_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "evil.py").write_text("raise SystemExit('imported')", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    evil = {"type": "evil", "module": "evil", "settings": {}}
    seal(bundle_folder, cleaners=[evil])
    with pytest.raises(PluginError, match="no installed hft plugin"):
        load(bundle_folder)
    seal(bundle_folder, cleaners=[evil], requires={"numpy": "2"})  # installed, but no plugin
    with pytest.raises(PluginError, match="no installed hft plugin"):
        load(bundle_folder)


def test_a_required_plugin_may_be_imported(
    bundle_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nice_plugin.py").write_text(
        "def edits(settings, texts):\n    return [[] for _ in texts]\n", encoding="utf-8"
    )
    info = tmp_path / "hft_nice-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hft-nice\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[hft]\nnice = nice_plugin\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    cleaner = {"type": "nice", "module": "nice_plugin", "settings": {}}
    seal(bundle_folder, cleaners=[cleaner], requires={"hft-nice": "1.0"})
    assert load(bundle_folder).predict(["good"])[0]["label"] in LABELS
    seal(bundle_folder, cleaners=[cleaner])  # not required: not imported
    with pytest.raises(PluginError, match="it requires none"):
        load(bundle_folder)


def test_a_missing_requirement_is_named(bundle_folder: Path) -> None:
    seal(bundle_folder, requires={"hft-nowhere": "2.0"})
    with pytest.raises(PluginError, match=r"hft-nowhere==2\.0"):
        load(bundle_folder)


def test_a_newer_format_is_refused(bundle_folder: Path) -> None:
    seal(bundle_folder, format=3)
    with pytest.raises(PluginError, match="format 3"):
        load(bundle_folder)


def test_a_manifest_that_leaves_the_folder_is_refused(bundle_folder: Path) -> None:
    with (bundle_folder / manifest.NAME).open("a") as stream:
        stream.write("0" * 64 + "  ../outside\n")
    with pytest.raises(DamagedError, match="outside"):
        load(bundle_folder)


BLOCKED = """
import sys
for name in ("pydantic", "torch", "transformers", "datasets", "rich", "click"):
    sys.modules[name] = None
import hft_core.runtime
assert "numpy" not in sys.modules and "onnxruntime" not in sys.modules, "import hft_core.runtime must be cheap"
bundle = hft_core.runtime.load(sys.argv[1])
print(bundle.verify()["rows"], bundle.predict([{"review": "好吃"}])[0]["label"])
"""


def test_the_runtime_needs_numpy_tokenizers_and_onnxruntime_only(bundle_folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", BLOCKED, str(bundle_folder)],
        capture_output=True,
        encoding="utf-8",
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}", "PATH": "/usr/bin:/bin"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("5 ")
