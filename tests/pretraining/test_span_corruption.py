"""Span corruption: what is hidden, what stands in its place, and what is to be written."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from hft_core import PluginError, RowRandom
from hft_core.runtime.ragged import take
from hft_plugins.transformers.seq2seq.span_corruption import SpanCorruption
from hft_plugins.transformers.seq2seq.spans import draw


def corruption(**settings: Any) -> SpanCorruption:
    return SpanCorruption.model_validate({"type": "span-corruption", "data": "corpus"} | settings)


@pytest.fixture(scope="module", params=["unigram", "bpe"])
def preprocessor(request: pytest.FixtureRequest, made: Any) -> Any:
    return made(request.param, "t5", 300, 64)


def batch_of(preprocessor: Any, stream: Any, texts: list[str], epoch: int = 0, chosen: Any = None) -> Any:
    objective, context = corruption(), stream(preprocessor)
    arrays = objective.encode({"text": texts}, context)
    rows = np.arange(len(arrays["row"])) if chosen is None else np.array(chosen)
    return take(arrays, rows), objective.batch(take(arrays, rows), RowRandom(epoch, rows), context)


def split(batch: Any, preprocessor: Any) -> list[tuple[list[int], list[int]]]:
    """Inputs and targets of each row, without padding."""
    inputs = [ids[mask == 1].tolist() for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)]
    width = batch["decoder_input_ids"].shape[1]
    rows = batch["positions"] // width
    return [(ids, batch["targets"][rows == row].tolist()) for row, ids in enumerate(inputs)]


def test_the_targets_fill_the_gaps_of_the_inputs(preprocessor: Any, stream: Any, texts: list[str]) -> None:
    arrays, batch = batch_of(preprocessor, stream, texts)
    first = preprocessor.tokenizer.token_to_id("<extra_id_0>")
    end = preprocessor.special["eos"]
    for row, (inputs, targets) in enumerate(split(batch, preprocessor)):
        assert inputs.pop() == targets.pop() == end
        sentinels = [token for token in inputs if token >= first]
        assert sentinels == [first + number for number in range(len(sentinels))]
        assert targets.pop() == first + len(sentinels)  # the last one, which nothing follows
        spans: list[list[int]] = []
        for token in targets:
            if token >= first:
                assert token == first + len(spans)
                spans.append([])
            else:
                spans[-1].append(token)
        assert len(spans) == len(sentinels)
        assert all(spans)
        whole = [piece for token in inputs for piece in (spans[token - first] if token >= first else [token])]
        assert whole == arrays["input_ids"][row].tolist()
        hidden = sum(map(len, spans))
        assert hidden == max(1, round(0.15 * len(whole)))


def test_the_decoder_reads_the_target_moved_on_by_one(preprocessor: Any, stream: Any, texts: list[str]) -> None:
    _, batch = batch_of(preprocessor, stream, texts[:9])
    for row, (_, targets) in enumerate(split(batch, preprocessor)):
        read = batch["decoder_input_ids"][row]
        assert read[: len(targets)].tolist() == [preprocessor.special["decoder_start"], *targets[:-1]]
    assert corruption().count(batch) == len(batch["targets"])


def test_masks_are_a_function_of_epoch_and_row(preprocessor: Any, stream: Any, texts: list[str]) -> None:
    _, together = batch_of(preprocessor, stream, texts, epoch=2)
    all_rows = split(together, preprocessor)
    for chosen in ([7], [30, 0, 7]):
        _, some = batch_of(preprocessor, stream, texts, epoch=2, chosen=chosen)
        assert split(some, preprocessor) == [all_rows[row] for row in chosen]
    _, other = batch_of(preprocessor, stream, texts, epoch=3)
    assert split(other, preprocessor) != all_rows


def test_spans_have_the_wanted_rate_and_mean_length() -> None:
    lengths = np.array([512] * 20 + [100] * 20)
    spans = draw(lengths, 512, 0.15, 3.0, 99, RowRandom(0, np.arange(40)))
    assert spans.hidden.sum(1).tolist() == [77] * 20 + [15] * 20
    assert spans.first.sum(1).tolist() == spans.count.tolist() == [26] * 20 + [5] * 20
    assert not spans.hidden[20:, 100:].any()


def test_all_arrangements_are_equally_likely() -> None:
    """Three of six tokens in two spans: (1 + 2 or 2 + 1) times the six ways to keep three around them, one between."""
    count = 24_000
    spans = draw(np.full(count, 6), 6, 0.5, 1.5, 99, RowRandom(1, np.arange(count)))
    found = Counter(map(tuple, spans.hidden.tolist()))
    assert len(found) == 12
    assert max(abs(number - 2000) for number in found.values()) < 5 * 2000**0.5


@pytest.mark.parametrize("length", [2, 3, 4, 7])
@pytest.mark.parametrize(("rate", "mean"), [(0.01, 1.0), (0.15, 3.0), (0.99, 1.0), (0.5, 9.0)])
def test_short_rows_hide_something_and_keep_something(length: int, rate: float, mean: float) -> None:
    rows = np.arange(200)
    spans = draw(np.full(200, length), 9, rate, mean, 99, RowRandom(0, rows))
    hidden = spans.hidden.sum(1)
    assert ((hidden >= 1) & (hidden < length)).all()
    assert (spans.first.sum(1) == spans.count).all()


def test_spans_never_need_more_sentinels_than_there_are() -> None:
    spans = draw(np.full(5, 400), 400, 0.5, 1.0, 99, RowRandom(0, np.arange(5)))
    assert spans.count.tolist() == [99] * 5
    assert spans.hidden.sum(1).tolist() == [200] * 5


def test_long_texts_come_in_windows_and_single_tokens_are_left_out(preprocessor: Any, stream: Any, texts: Any) -> None:
    columns = {"text": ["", "a", " ".join(texts[:60])]}
    arrays = corruption().encode(columns, stream(preprocessor))
    assert set(arrays["row"].tolist()) <= {1, 2}
    assert (arrays["row"] == 2).sum() > 2
    assert arrays["input_ids"].lengths.min() >= 2
    assert arrays["input_ids"].lengths.max() < preprocessor.max_length
    assert preprocessor.special["eos"] not in arrays["input_ids"].values
    batch = corruption().batch(arrays, RowRandom(0, np.arange(len(arrays["row"]))), stream(preprocessor))
    assert batch["input_ids"].shape[1] <= preprocessor.max_length


@pytest.mark.parametrize("family", ["bert", "gpt"])
def test_a_tokenizer_without_sentinels_is_refused(family: str, made: Any, stream: Any) -> None:
    with pytest.raises(PluginError, match="no tokens <extra_id_0>"):
        corruption().head(stream(made("bpe", family)))
