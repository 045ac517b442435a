"""Masks, packing and windows: what language models are asked to predict."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from hft_core import DataError, RowRandom
from hft_core.runtime.ragged import take
from hft_core.training.order import Part
from hft_core.training.streams import LiveStream
from hft_plugins.optimizers.torch_optimizers import SGD


def made(stream: LiveStream, entries: list[int], epoch: int) -> Any:
    return stream.made(Part(epoch, 0, np.array(entries, np.int64)))


def original(stream: LiveStream, entries: list[int]) -> Any:
    arrays = take(stream.shards[0], np.array(entries, np.int64))
    return stream.context.preprocessor.pad({"input_ids": arrays["input_ids"]})


def test_masked_targets_are_the_original_ids_and_special_tokens_stay(bert: Any, make_rows: Any) -> None:
    stream = bert.stream(bert.objective("masked-lm"), make_rows(3000))
    entries = list(range(len(stream.shards[0]["row"])))
    batch, plain = made(stream, entries, 0), original(stream, entries)
    flat = plain["input_ids"].reshape(-1)
    assert (batch["targets"] == flat[batch["positions"]]).all()
    special = list(bert.preprocessor.special.values())
    assert not np.isin(batch["targets"], special).any()
    hidden = batch["input_ids"].reshape(-1)
    others = np.setdiff1d(np.arange(len(flat)), batch["positions"])
    assert (hidden[others] == flat[others]).all()  # nothing else is changed
    assert (batch["attention_mask"] == plain["attention_mask"]).all()

    maskable = int(((plain["attention_mask"] == 1) & ~np.isin(plain["input_ids"], special)).sum())
    rate = len(batch["targets"]) / maskable
    assert abs(rate - 0.15) < 4 * (0.15 * 0.85 / maskable) ** 0.5
    fates = hidden[batch["positions"]]
    masked = (fates == bert.preprocessor.special["mask"]).mean()
    kept = (fates == batch["targets"]).mean()
    assert abs(masked - 0.8) < 0.02
    assert abs(kept - 0.1) < 0.02


def test_masks_do_not_depend_on_the_batch(bert: Any, make_rows: Any) -> None:
    stream = bert.stream(bert.objective("masked-lm"), make_rows(60))
    together = made(stream, list(range(40)), 2)["input_ids"]
    for entries in ([5], [39, 5, 0], list(range(5, 25))):
        alone = made(stream, entries, 2)["input_ids"]
        for place, entry in enumerate(entries):
            length = stream.order.index(0).lengths[entry]
            assert alone[place, :length].tolist() == together[entry, :length].tolist()


def test_masks_are_fresh_every_epoch_and_the_same_in_the_same(bert: Any, make_rows: Any) -> None:
    stream = bert.stream(bert.objective("masked-lm"), make_rows(60))
    again = bert.stream(bert.objective("masked-lm"), make_rows(60))
    epochs = [made(stream, list(range(40)), epoch)["positions"].tolist() for epoch in range(4)]
    assert len({tuple(positions) for positions in epochs}) == 4
    assert made(again, list(range(40)), 3)["positions"].tolist() == epochs[3]
    other = bert.stream(bert.objective("masked-lm"), make_rows(60), seed=1)
    assert made(other, list(range(40)), 3)["positions"].tolist() != epochs[3]


def test_held_out_masks_are_the_same_every_time(bert: Any, make_rows: Any) -> None:
    stream = bert.stream(bert.objective("masked-lm"), make_rows(60))
    first, second = ([batch["positions"].tolist() for batch in stream.held_out_batches(3)] for _ in range(2))
    assert first == second
    assert len(first) == 2  # six held-out rows, three at a time
    index = stream.order.index(0)
    trained = {entry for epoch in range(3) for entry in index.entries(epoch, 1).tolist()}
    assert trained.isdisjoint(np.flatnonzero(index.held).tolist())
    assert len(trained) == 54


def test_long_texts_give_windows_that_lose_no_token(bert: Any) -> None:
    text = " ".join(f"good film {number}" for number in range(100))
    arrays = bert.arrays(bert.objective("masked-lm"), {"text": ["short", text], "label": ["pos", "neg"]})
    ids = arrays["input_ids"]
    assert arrays["row"].tolist() == [0] + [1] * (len(ids) - 1)
    assert len(ids) > 3
    assert ids.lengths.max() <= bert.preprocessor.max_length
    bert.preprocessor.tokenizer.no_truncation()
    try:
        whole = bert.preprocessor.tokenizer.encode(text).ids[1:-1]
    finally:
        bert.preprocessor.tokenizer.enable_truncation(bert.preprocessor.max_length)
    joined = [token for window in range(1, len(ids)) for token in ids[window][1:-1].tolist()]
    assert joined == whole


@pytest.mark.parametrize("block", [None, 8, 31])
def test_packing_keeps_all_tokens_once_in_order(gpt: Any, make_rows: Any, block: int | None) -> None:
    columns = make_rows(50, longest=30)
    arrays = gpt.arrays(gpt.objective("causal-lm", block=block), columns)
    end = gpt.preprocessor.special["eos"]
    wanted: list[int] = []
    for text in columns["text"]:
        wanted += [*gpt.preprocessor.tokenizer.encode(text).ids, end]
    assert arrays["input_ids"].values.tolist() == wanted
    lengths = arrays["input_ids"].lengths
    assert (lengths[:-1] == (block or gpt.preprocessor.max_length)).all()
    assert 0 < lengths[-1] <= lengths[0]


def test_packing_closes_a_long_text_only_at_its_end(gpt: Any, make_rows: Any) -> None:
    text = " ".join(make_rows(20, longest=30)["text"])  # several times the longest input
    arrays = gpt.arrays(gpt.objective("causal-lm"), {"text": [text, "bad"], "label": ["pos", "neg"]})
    values = arrays["input_ids"].values
    assert (values == gpt.preprocessor.special["eos"]).sum() == 2


def test_packing_works_over_several_batches_of_rows(gpt: Any, make_rows: Any) -> None:
    columns = make_rows(5000, longest=20)
    arrays = gpt.arrays(gpt.objective("causal-lm", block=8), columns)  # more blocks than rows
    tokens = sum(len(gpt.preprocessor.tokenizer.encode(text).ids) + 1 for text in columns["text"])
    assert len(arrays["input_ids"].values) == tokens
    # A block counts as the row of its first token: in order, over all batches.
    assert (np.diff(arrays["row"]) >= 0).all()
    assert 4990 < arrays["row"][-1] < 5000


def test_causal_targets_are_the_successors_within_a_row(gpt: Any, make_rows: Any) -> None:
    objective = gpt.objective("causal-lm", block=16, boundaries=False)
    arrays = gpt.arrays(objective, make_rows(50))
    last = len(arrays["row"]) - 1
    entries = np.array([last, 0, 3])  # the short one first, so that padding follows it
    chosen = {name: array for name, array in take(arrays, entries).items() if name != "variant"}
    batch = objective.batch(chosen, RowRandom(0, entries), gpt.context(objective))
    ids, mask = batch["input_ids"], batch["attention_mask"]
    wanted = [
        (row * ids.shape[1] + column, ids[row, column + 1])
        for row in range(3)
        for column in range(ids.shape[1] - 1)
        if mask[row, column] and mask[row, column + 1]
    ]
    assert list(zip(batch["positions"].tolist(), batch["targets"].tolist(), strict=True)) == wanted
    assert objective.count(batch) == int(mask.sum()) - 3  # each row's last token has no successor
    assert (batch["positions"] % ids.shape[1] < mask.sum(1)[batch["positions"] // ids.shape[1]] - 1).all()


@pytest.mark.parametrize("kind", ["masked-lm", "causal-lm"])
def test_a_corpus_without_rows_raises(benches: Any, kind: str) -> None:
    bench = benches["bert" if kind == "masked-lm" else "gpt"]
    with pytest.raises(DataError, match="no usable row"):
        bench.arrays(bench.objective(kind), {"text": [], "label": []})


def test_masked_lm_needs_a_mask_token(gpt: Any) -> None:
    objective = gpt.objective("masked-lm")
    with pytest.raises(Exception, match="no mask token"):
        objective.head(gpt.context(objective))


def test_shares_of_masked_tokens_fit(bert: Any) -> None:
    assert bert.objective("masked-lm", mask=0.7, random=0.3)
    with pytest.raises(ValidationError, match="shares of one whole"):
        bert.objective("masked-lm", mask=0.8, random=0.3)


def test_nesterov_needs_momentum() -> None:
    assert SGD(type="sgd", lr=0.1, momentum=0.9, nesterov=True)
    with pytest.raises(ValidationError, match="set `momentum:` above 0"):
        SGD(type="sgd", lr=0.1, nesterov=True)
