"""What an explanation has to pass before anyone believes it: planted words, completeness, random weights."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from hft_core import Net
from hft_explain.attribution import TOLERANCE
from hft_explain.export import Explanation, explanations
from hft_explain.plugin import Explain

METHODS = ("integrated-gradients", "occlusion")
PLANTED = {"english": {"superb", "dreadful"}, "chinese": {"赞", "差"}, "tagger": {"mister"}, "answerer": {"called"}}
pytestmark = pytest.mark.slow


@pytest.fixture(params=PLANTED)
def trained(request: pytest.FixtureRequest) -> Any:
    """Each of the trained models in turn, with the words that decide."""
    model = request.getfixturevalue(request.param)
    assert next(iter(model.figures.values())) > 0.95, f"it has not learned what decides: {model.figures}"
    return model, PLANTED[request.param]


@pytest.mark.parametrize("method", METHODS)
def test_planted_words_count_most(trained: Any, method: str) -> None:
    """Among all tokens but those of what is predicted itself: a name counts for being a name, too."""
    model, planted = trained
    found = explanations(Explain(type="explain", method=method, rows=40), model.net, model.run)
    # Of a neutral text, and of an answer where the net puts it in a text of masks too, the words decide nothing.
    decided = [one for one in found if one.found.score - one.found.baseline > 1]
    assert len(decided) >= 15
    for one in decided:
        largest = max(beside(one))
        (word, *_) = [token["text"] for token in one.record()["tokens"] if token["attribution"] == largest]
        assert word in planted, one.record()
        assert largest > 0.4 * (one.found.score - one.found.baseline)


def test_integrated_gradients_are_complete(trained: Any) -> None:
    """What tokens get adds up to the score, less that of the text without them (Sundararajan et al. 2017)."""
    model, _ = trained
    for one in explanations(Explain(type="explain", rows=40), model.net, model.run):
        difference = one.found.score - one.found.baseline
        assert one.found.error is not None
        assert sum(one.values) - difference == pytest.approx(one.found.error, abs=1e-4)
        assert abs(one.found.error) <= TOLERANCE * max(abs(difference), abs(one.found.score), abs(one.found.baseline))


@pytest.mark.parametrize("method", METHODS)
def test_random_weights_are_explained_otherwise(trained: Any, method: str) -> None:
    """The randomisation test of Adebayo et al. (2018): an explanation that stays as it is shows the text, not the model."""
    model, _ = trained
    settings = Explain(type="explain", method=method, rows=20)
    sure = explanations(settings, model.net, model.run)
    assert alike(sure, explanations(settings, model.net, model.run)) == 1
    found = []
    for seed in range(4):
        net = copy.deepcopy(model.net)
        shuffle(net, torch.Generator().manual_seed(seed))
        found.append(alike(sure, explanations(settings, net, model.run)))
    assert abs(np.mean(found)) < 0.25, found
    assert max(np.abs(found)) < 0.6, found


def shuffle(net: Net, generator: torch.Generator) -> None:
    """Bring the numbers of each parameter into a random order: the same numbers, of no meaning."""
    with torch.no_grad():
        for parameter in net.parameters():
            order = torch.randperm(parameter.numel(), generator=generator)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))


def alike(ones: list[Explanation], others: list[Explanation]) -> float:
    """Mean rank correlation of what tokens count, but for those of what is predicted itself: any net reads them first."""
    return float(
        np.mean([spearmanr(beside(one), beside(other)).statistic for one, other in zip(ones, others, strict=True)])
    )


def beside(one: Explanation) -> list[float]:
    """What the tokens count that are no part of what is predicted."""
    return [token["attribution"] for token in one.record()["tokens"] if token["text"] != one.target.words]
