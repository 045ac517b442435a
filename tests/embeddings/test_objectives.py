"""The losses: equal to sentence-transformers', blind to false negatives, and the same in pieces."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from hft_core import RowRandom
from hft_plugins.embeddings.negatives import InBatchNegatives, keys, no_negatives
from hft_plugins.embeddings.scored import CoSent, CosineMse
from hft_plugins.embeddings.task import SentenceEmbedding, SentenceSimilarity

PAIRS = SentenceEmbedding(type="sentence-embedding")
SCORED = SentenceSimilarity(type="sentence-similarity")


def vectors(*sides: str, rows: int = 6, seed: int = 0) -> dict[str, Any]:
    made = torch.Generator().manual_seed(seed)
    return {side: torch.randn(rows, 8, generator=made, requires_grad=True) for side in sides}


def keyed(found: dict[str, Any], **texts: list[str | None]) -> dict[str, Any]:
    """With the keys of these texts, by default different ones."""
    rows = len(found["anchor"])
    usual = {side: [f"{side} {row}" for row in range(rows)] for side in found}
    return found | {f"{name}_key": torch.from_numpy(keys(column)) for name, column in (usual | texts).items()}


def objective(**settings: Any) -> InBatchNegatives:
    return InBatchNegatives(type="in-batch-negatives", data="train", **settings)


@pytest.mark.parametrize("sides", [("anchor", "positive"), ("anchor", "positive", "negative")])
def test_it_is_the_loss_of_sentence_transformers(sides: tuple[str, ...]) -> None:
    losses = pytest.importorskip("sentence_transformers.sentence_transformer.losses", reason="the reference")
    found = vectors(*sides)
    reference = losses.MultipleNegativesRankingLoss(SimpleNamespace())
    wanted = reference.compute_loss_from_embeddings([found[side] for side in sides], None)
    loss = objective(temperature=0.05).couple(keyed(found)).sum
    assert float(loss.detach()) / 6 == pytest.approx(float(wanted.detach()), rel=1e-5)


def test_scored_pairs_have_the_loss_of_sentence_transformers() -> None:
    losses = pytest.importorskip("sentence_transformers.sentence_transformer.losses", reason="the reference")
    found = vectors("anchor", "other")
    score = torch.tensor([0.1, 0.9, 0.5, 0.5, 0.2, 1.0])
    reference = losses.CoSENTLoss(SimpleNamespace())
    wanted = reference.compute_loss_from_embeddings([found["anchor"], found["other"]], score)
    loss = CoSent(type="cosent", data="train").couple(found | {"score": score}).sum
    assert float(loss.detach()) / 6 == pytest.approx(float(wanted.detach()), rel=1e-5)
    cosines = torch.cosine_similarity(found["anchor"], found["other"])
    plain = CosineMse(type="cosine-mse", data="train").loss(
        lambda **side: {"embedding": side["rows"]},
        {"anchor.rows": found["anchor"], "other.rows": found["other"], "score": score},
    )
    torch.testing.assert_close(plain.sum, (cosines - score).square().sum())


def test_pairs_of_one_score_teach_nothing() -> None:
    found = vectors("anchor", "other")
    loss = CoSent(type="cosent", data="train").couple(found | {"score": torch.full((6,), 0.5)}).sum
    assert float(loss.detach()) == 0


def barred(**texts: list[str | None]) -> list[list[int]]:
    sides = ("anchor", "positive", "negative") if "negative" in texts else ("anchor", "positive")
    found = keyed(vectors(*sides, rows=len(texts["anchor"])), **texts)
    return no_negatives(found).int().tolist()  # type: ignore[no-any-return]


def test_what_belongs_to_a_row_is_none_of_its_negatives() -> None:
    plain = barred(anchor=["a", "b", "c"], positive=["x", "y", "z"])
    assert plain == [[0, 0, 0]] * 3
    shared = barred(anchor=["a", "b", "c"], positive=["x", "x", "z"])
    assert shared == [[0, 1, 0], [1, 0, 0], [0, 0, 0]], "two questions about one paragraph"
    asked_twice = barred(anchor=["a", "a", "c"], positive=["x", "y", "y"])
    assert asked_twice == [[0, 1, 1], [1, 0, 1], [0, 1, 0]], "whatever either row of `a` has"
    itself = barred(anchor=["a", "b"], positive=["b", "a"])
    assert itself == [[0, 1], [1, 0]], "the text itself"
    labelled = barred(anchor=["a", "b", "c"], positive=["x", "y", "z"], label=["t", "t", None])
    assert labelled == [[0, 1, 0], [1, 0, 0], [0, 0, 0]]
    unlabelled = barred(anchor=["a", "b"], positive=["x", "y"], label=[None, None])
    assert unlabelled == [[0, 0], [0, 0]], "rows without a label do not belong together"
    hard = barred(anchor=["a", "b"], positive=["x", "y"], negative=["y", "n"])
    assert hard == [[0, 0, 0, 0], [0, 0, 1, 0]], "another row's partner may be a hard negative here, not there"


def test_a_duplicate_changes_nothing_for_its_row() -> None:
    """What is barred has no part in the loss."""
    found = keyed(vectors("anchor", "positive", rows=3))
    twice = {name: torch.cat([rows, rows[:1]]) for name, rows in found.items()}
    loss = objective().couple(found).sum
    four = objective().couple(twice).sum
    scores = objective().couple({name: rows[:1] for name, rows in found.items()}).sum
    assert float(scores.detach()) == 0, "alone, a row has no negative"
    # Rows 1 and 2 meet the first partner twice; row 0 and its copy see what row 0 saw.
    unit = (
        torch.nn.functional.normalize(found["anchor"], dim=1)
        @ torch.nn.functional.normalize(found["positive"], dim=1).T
    )
    logs = (unit / 0.05).exp()
    again = [logs[0, 0] / logs[0].sum(), *(logs[row, row] / (logs[row].sum() + logs[row, 0]) for row in (1, 2))]
    wanted = -(2 * again[0].log() + again[1].log() + again[2].log())
    assert float(four.detach()) == pytest.approx(float(wanted.detach()), rel=1e-4)
    assert float(loss.detach()) < float(four.detach())


def test_symmetric_is_the_mean_of_both_directions() -> None:
    found = keyed(vectors("anchor", "positive"))
    turned = found | {"anchor": found["positive"], "positive": found["anchor"]}
    turned |= {"anchor_key": found["positive_key"], "positive_key": found["anchor_key"]}
    both = [float(objective().couple(one).sum.detach()) for one in (found, turned)]
    assert float(objective(symmetric=True).couple(found).sum.detach()) == pytest.approx(sum(both) / 2, rel=1e-6)


def test_each_side_is_padded_to_its_own_longest_text(stream: Any) -> None:
    context = stream(PAIRS)
    columns = {"text": ["red", "cat"], "positive": ["红 " * 9, "猫"]}
    arrays = objective().encode(columns, context)
    batch = objective().batch(arrays, RowRandom(0, np.arange(2)), context)
    assert batch["anchor.input_ids"].shape[1] < batch["positive.input_ids"].shape[1]
    assert objective().count(batch) == 2
    tokens = objective().tokens(arrays, context)
    assert tokens is not None
    assert set(np.unique(batch["positive.input_ids"])) | set(np.unique(batch["anchor.input_ids"])) <= set(
        tokens.tolist()
    )


def test_scores_are_encoded_from_0_to_1(stream: Any) -> None:
    task = SCORED.model_copy(update={"range": [0.0, 4.0]})
    arrays = CoSent(type="cosent", data="train").encode(
        {"text": ["red", "cat"], "other": ["红", "猫"], "score": ["1", 4]}, stream(task)
    )
    assert np.asarray(arrays["score"]).tolist() == [0.25, 1.0]
