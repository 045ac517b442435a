"""Corpora that are larger than memory: what is resident is one shard, whatever the number of them."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from hft_core.components import Columns, Stream
from hft_core.data import prepared as kept
from hft_core.data import table
from hft_core.data.prepare import prepare_text
from hft_core.data.prepared import TEXT, Prepared
from hft_core.data.split_checks import check_splits
from hft_core.data.table import ROW, VARIANT, read_shards, write_table
from hft_core.runtime.ragged import Ragged
from hft_core.training import encoding
from hft_core.training.batches import Batches, Share
from hft_core.training.encoding import Encoded, encode_files
from hft_core.training.order import Part
from hft_core.training.streams import LiveStream
from hft_plugins.cleaners.duplicates import ExactDuplicates
from hft_plugins.cleaners.whitespace import WhitespaceCleaner
from hft_plugins.readers import source
from hft_plugins.readers.text import TextReader

pytestmark = pytest.mark.slow

# ---- memory ----

WORDS = ["good", "film", "bad", "book", "好", "菜", "the", "room", "was", "very"]
ROWS = 200
_TIMES = 8


def write_texts(file: Path, rows: int) -> None:
    """Texts of 100 words, all different."""
    lines = [
        " ".join(WORDS[(row + word * word) % len(WORDS)] for word in range(100)) + f"  {row}" for row in range(rows)
    ]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def prepared(folder: Path) -> Prepared:
    cleaners = [WhitespaceCleaner(type="whitespace"), ExactDuplicates(type="exact-duplicates")]
    prepare_text(TextReader(type="text", path=folder / "corpus.txt"), "corpus", cleaners, folder)
    return Prepared.load(folder)


def compared(corpus: Prepared) -> None:
    few = np.arange(3, dtype=np.uint64)
    check_splits({"train": few, "validation": few, "test": few}, {"corpus": corpus.text_keys(TEXT)})


def encoded(folder: Path, bench: Any, corpus: Prepared) -> None:
    objective = bench.objective("causal-lm", block=64)
    shards = encode_files(objective, [corpus.file(TEXT)], [Stream(bench.preprocessor, corpus.roles)])
    for number in range(10**6):
        arrays = next(shards, None)
        if arrays is None:
            return
        Encoded.save(folder, number, arrays)
        del arrays


def walked(folder: Path, bench: Any) -> None:
    """An epoch's batches, and the held-out ones."""
    objective = bench.objective("causal-lm", block=64)
    stream = LiveStream.open(objective, "causal-lm", bench.context(objective), Encoded(folder), 32, 0, 0)
    for step in range(stream.order.steps(1)):
        stream.micro_batches(step, 8)
    for _ in stream.held_out_batches(8):
        pass


def peaks(folder: Path, bench: Any, rows: int) -> dict[str, int]:
    """The most bytes that Python and numpy held in each step."""
    folder.mkdir()
    write_texts(folder / "corpus.txt", rows)
    found: dict[str, int] = {}

    def measured(name: str, work: Callable[[], Any]) -> Any:
        gc.collect()
        tracemalloc.start()
        try:
            result = work()
            found[name] = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        return result

    corpus = measured("prepare", lambda: prepared(folder))
    measured("checks", lambda: compared(corpus))
    measured("encode", lambda: encoded(folder, bench, corpus))
    measured("train", lambda: walked(folder, bench))
    return found


@pytest.mark.slow
def test_memory_does_not_grow_with_the_corpus(tmp_path: Path, gpt: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight times the rows take a fraction of what the further rows would take, in every step."""
    monkeypatch.setattr(encoding, "SHARD_ROWS", 40)
    monkeypatch.setattr(table, "BATCH", 20)
    monkeypatch.setattr(source, "BATCH", 20)
    monkeypatch.setattr(kept, "_KEYS_AT_ONCE", 20)
    peaks(tmp_path / "first", gpt, ROWS)  # what is imported, and kept for good
    small, large = peaks(tmp_path / "small", gpt, ROWS), peaks(tmp_path / "large", gpt, _TIMES * ROWS)
    further = (tmp_path / "large" / "corpus.txt").stat().st_size * (_TIMES - 1) // _TIMES
    assert len(Encoded(tmp_path / "large")) == _TIMES * len(Encoded(tmp_path / "small")) == 40
    for step in small:
        assert large[step] - small[step] < 0.25 * further, (step, small, large)


def test_only_the_shard_that_is_read_is_mapped(tmp_path: Path, bert: Any, make_rows: Any, small_shards: int) -> None:
    stream = on_disk(tmp_path, bert, bert.objective("masked-lm"), make_rows(400))
    assert len(stream.shards) == 10
    for step in range(stream.order.steps(2)):
        stream.micro_batches(step, 4)
        assert _mapped(tmp_path) == {f"shard-{stream.order.batch(step).shard:06}"}
    assert len(list(stream.held_out_batches(4))) == 10
    assert _mapped(tmp_path) == {"shard-000009"}


def _mapped(folder: Path) -> set[str]:
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("there is no /proc/self/maps here")
    files = (line.split()[-1] for line in maps.read_text().splitlines() if str(folder) in line)
    return {Path(file).parent.name for file in files}


# ---- shards ----


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch, benches: Any) -> int:
    """Shards of at most this many rows."""
    monkeypatch.setattr(encoding, "SHARD_ROWS", 40)
    for bench in benches.values():
        monkeypatch.setattr(bench, "written", 10)
    return 40


def on_disk(folder: Path, bench: Any, objective: Any, columns: Columns) -> LiveStream:
    """A stream over mapped shards, as a stage has it."""
    for number, arrays in enumerate(bench.shards(objective, columns)):
        Encoded.save(folder, number, arrays)
    return LiveStream.open(objective, objective.type_name(), bench.context(objective), Encoded(folder), 16, 0, 0)


def write(file: Path, *batches: tuple[int, int, int]) -> Path:
    """Batches of (rows, variant, width of their text)."""
    columns: list[Columns] = [
        {"text": ["x" * width] * rows, ROW: list(range(rows)), VARIANT: [variant] * rows}
        for rows, variant, width in batches
    ]
    write_table(file, columns)
    return file


def sizes(files: list[Path], rows: int, size: int = 10**9) -> list[dict[int, int]]:
    return [{at: len(columns[ROW]) for at, columns in shard.items()} for shard in read_shards(files, rows, size)]


def test_shards_are_cut_by_rows_and_by_bytes(tmp_path: Path) -> None:
    file = write(tmp_path / "a", *[(10, 0, 100)] * 5, (10, 0, 3000), (10, 0, 1), (35, 0, 1), (5, 0, 1))
    assert sizes([file], rows=30) == [{0: 30}, {0: 30}, {0: 10}, {0: 35}, {0: 5}]
    batch = 10 * (100 + 8 + 8 + 4)  # the text, row and variant, and where each text ends
    assert sizes([file], 1000, 2 * batch + 100) == [{0: 20}, {0: 20}, {0: 10}, {0: 10}, {0: 50}]


def test_a_shard_goes_over_the_end_of_a_file(tmp_path: Path) -> None:
    files = [write(tmp_path / "a", *[(10, 0, 1)] * 3), tmp_path / "none", write(tmp_path / "c", *[(10, 0, 1)] * 2)]
    assert sizes(files, rows=20) == [{0: 20}, {0: 10, 2: 10}, {2: 10}]
    assert sizes(files, rows=100) == [{0: 30, 2: 20}]


def test_variants_stay_with_their_originals(tmp_path: Path) -> None:
    family = [(10, 0, 1), (9, 1, 1), (3, 2, 1)]
    file = write(tmp_path / "a", *family * 3)
    assert sizes([file], rows=12) == [{0: 22}, {0: 22}, {0: 22}]
    assert sizes([file], rows=44) == [{0: 44}, {0: 22}]


def test_what_was_saved_comes_back(tmp_path: Path, gpt: Any, make_rows: Any, small_shards: int) -> None:
    objective = gpt.objective("causal-lm", block=16)
    stream = on_disk(tmp_path, gpt, objective, make_rows(130))
    again = Encoded(tmp_path)
    for number, arrays in enumerate(gpt.shards(objective, make_rows(130))):
        assert again[number].keys() == arrays.keys()
        for name, array in arrays.items():
            found = again[number][name]
            ragged = isinstance(array, Ragged)
            assert np.array_equal(found.values if ragged else found, array.values if ragged else array)
            assert not ragged or np.array_equal(found.offsets, array.offsets)
    assert len(stream.shards) == 4
    with pytest.raises(IndexError):
        again[4]


def test_packing_stays_within_a_shard(gpt: Any, make_rows: Any, small_shards: int) -> None:
    columns = make_rows(130)
    shards = gpt.shards(gpt.objective("causal-lm", block=16), columns)
    end = gpt.preprocessor.special["eos"]
    for number, arrays in enumerate(shards):
        own = slice(number * small_shards, (number + 1) * small_shards)
        wanted = [id for text in columns["text"][own] for id in [*gpt.preprocessor.tokenizer.encode(text).ids, end]]
        assert arrays["input_ids"].values.tolist() == wanted
        lengths = arrays["input_ids"].lengths
        assert (lengths[:-1] == 16).all()  # not cut where the rows were written or read together
        assert set(arrays["row"].tolist()) <= set(range(own.start, own.stop))


# ---- training over shards ----


SETTINGS: dict[str, dict[str, Any]] = {"masked-lm": {}, "causal-lm": {"block": 16}}


def trained_rows(stream: LiveStream, epoch: int) -> list[tuple[int, int]]:
    first = stream.order.steps(epoch) if epoch else 0
    parts = [stream.order.batch(step) for step in range(first, stream.order.steps(epoch + 1))]
    return sorted((part.shard, entry) for part in parts for entry in part.entries.tolist())


@pytest.mark.parametrize("kind", ["masked-lm", "causal-lm"])
def test_each_row_once_an_epoch_but_the_held_out_ones(
    tmp_path: Path, benches: Any, make_rows: Any, small_shards: int, kind: str
) -> None:
    bench = benches["bert" if kind == "masked-lm" else "gpt"]
    stream = on_disk(tmp_path, bench, bench.objective(kind, **SETTINGS[kind]), make_rows(130))
    every = [(s, entry) for s in range(len(stream.shards)) for entry in range(len(stream.shards[s]["row"]))]
    held = [(s, e) for s in range(len(stream.shards)) for e in np.flatnonzero(stream.order.index(s).held).tolist()]
    assert len({shard for shard, _ in held}) > 1
    for epoch in range(3):
        assert sorted(trained_rows(stream, epoch) + held) == every


def test_the_same_text_is_masked_otherwise_in_another_shard(bert: Any, make_rows: Any, small_shards: int) -> None:
    twice = {name: values * 2 for name, values in make_rows(40).items()}
    stream = bert.stream(bert.objective("masked-lm"), twice)
    entries = np.arange(40)
    first, second = (stream.made(Part(0, shard, entries)) for shard in (0, 1))
    assert np.array_equal(first["attention_mask"], second["attention_mask"])
    assert first["positions"].tolist() != second["positions"].tolist()


def same(first: Any, second: Any) -> bool:
    return len(first) == len(second) and all(
        one.number == two.number
        and one.arrays.keys() == two.arrays.keys()
        and all(torch.equal(one.arrays[name], two.arrays[name]) for name in one.arrays)
        for one, two in zip(first, second, strict=True)
    )


def test_two_processes_share_the_batches_of_one(tmp_path: Path, gpt: Any, make_rows: Any, small_shards: int) -> None:
    """Whatever the number of processes, a step sees the same rows."""
    stream = on_disk(tmp_path, gpt, gpt.objective("causal-lm", block=8), make_rows(130))
    steps = stream.order.steps(2)
    whole = Batches([stream], steps, 4)
    halves = [Batches([stream], steps, 4, Share(process, 2)) for process in (0, 1)]
    crossed = {stream.order.batch(step).shard for step in range(steps)}
    assert crossed == {0, 1, 2, 3}
    for step in range(steps):
        pieces: Any = [piece for half in halves for piece in half[step][0]]  # type: ignore[index]  # no error
        parts: Any = whole[step]
        assert sum(len(piece.arrays["input_ids"]) for piece in pieces) == len(stream.order.batch(step).entries)
        assert _sums(pieces) == _sums(parts[0])


def _sums(pieces: Any) -> list[int]:
    """The sum of each row's token ids."""
    return sorted(total for piece in pieces for total in piece.arrays["input_ids"].sum(1).tolist())


def test_workers_make_the_same_batches_of_mapped_shards(
    tmp_path: Path, bert: Any, make_rows: Any, small_shards: int
) -> None:
    stream = on_disk(tmp_path, bert, bert.objective("masked-lm"), make_rows(130))
    batches = Batches([stream], stream.order.steps(2), 4)
    alone = list(batches.from_step(0, workers=0))
    for first in (0, 5):  # 5 is in the middle of a shard
        made = list(batches.from_step(first, workers=2))
        assert len(made) == len(alone) - first
        assert all(same(one[0], two[0]) for one, two in zip(made, alone[first:], strict=True))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("kind", ["masked-lm", "causal-lm"])
def test_a_stage_goes_on_in_the_middle_of_a_shard(
    benches: Any, make_rows: Any, survives: Any, small_shards: int, kind: str, workers: int
) -> None:
    bench = benches["bert" if kind == "masked-lm" else "gpt"]
    parts = (bench.objective(kind, **SETTINGS[kind]), make_rows(130))

    def made(work: Path) -> Any:
        return bench.job(parts, work=work, epochs=2, workers=workers, batch_size=8, checkpoint_minutes=0)

    order = made(bench.folder / "no-checkpoints").streams[0].order
    walk = [order.batch(step)[:2] for step in range(order.steps(2))]
    assert len(set(walk)) == 8  # four shards in each of two epochs
    inside = [step for step in range(1, len(walk)) if walk[step - 1] == walk[step]]
    crashes = (inside[0], inside[len(inside) // 3], inside[-1])
    assert len({walk[step] for step in crashes}) == 3
    survives(made, *crashes)


def test_leaks_are_found_in_every_piece_of_a_corpus() -> None:
    def keys(*numbers: int) -> Any:
        return np.array(numbers, np.uint64)

    splits = {"train": keys(1, 2), "validation": keys(*range(10, 110)), "test": keys(7, 8, 9)}
    found = check_splits(splits, {"corpus": iter([keys(9, 50), keys(3), keys(7, 9, 51)])})
    titles = [check["title"] for check in found if "corpus" in check["title"]]
    assert titles == [
        "Leakage: 2 of 100 validation texts stand in corpus too",
        "Leakage: 2 of 3 test texts stand in corpus too",
    ]


@pytest.mark.parametrize("most", [None, 64, 200])
def test_a_pass_has_no_more_tokens_than_allowed(bert: Any, make_rows: Any, most: int | None) -> None:
    """With a limit of tokens a batch comes in more pieces: all of its rows, each once, and none too large but for single rows."""
    bench = bert
    stream = bench.stream(bench.objective("classification"), make_rows(50))
    stream.most = most
    for step in range(stream.order.steps(1)):
        pieces = stream.pieces(step, 16)
        whole = stream.order.batch(step)
        assert sorted(int(entry) for piece in pieces for entry in piece.entries) == sorted(map(int, whole.entries))
        made = [stream.made(piece)["input_ids"] for piece in pieces]
        assert (len(pieces) == 1) == (most is None or len(whole.entries) * max(ids.shape[1] for ids in made) <= most)
        assert most is None or all(len(ids) == 1 or ids.size <= most for ids in made)
        for_three = len(stream.pieces(step, 16, multiple=3))
        assert for_three % 3 == 0 or for_three == len(whole.entries)
    longest = stream.longest_batch(16)["input_ids"]
    assert most is None or len(longest) == 1 or longest.size <= most


@pytest.mark.parametrize(("micro_batch", "limited"), [(None, True), (8, False)])
def test_who_says_how_many_rows_a_pass_has_is_not_limited(bert: Any, micro_batch: int | None, limited: bool) -> None:
    from hft_core.training.memory import tokens_of_a_pass

    assert (tokens_of_a_pass(bert.objective("classification"), micro_batch) is not None) == limited
    coupled: Any = SimpleNamespace(couples=True)
    assert tokens_of_a_pass(coupled, micro_batch) is None
