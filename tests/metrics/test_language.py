import math

import pytest

from hft_core.errors import DataError
from hft_plugins.metrics.language import Perplexity
from hft_plugins.metrics.plugin import register_metrics


def test_perplexity_is_over_tokens_not_over_rows():
    rows = [{"nll": 2.0, "tokens": 1}, {"nll": 4.0, "tokens": 9}]
    assert Perplexity(type="perplexity").measure(rows, [], {}) == {"perplexity": pytest.approx(math.exp(0.6))}


def test_a_uniform_model_has_its_vocabulary_as_perplexity():
    rows = [{"nll": tokens * math.log(50), "tokens": tokens} for tokens in (3, 8, 1)]
    assert Perplexity(type="perplexity").measure(rows, [], {})["perplexity"] == pytest.approx(50)


def test_a_diverged_model_is_infinite_without_a_warning(recwarn):
    assert Perplexity(type="perplexity").measure([{"nll": 1e6, "tokens": 1}], [], {})["perplexity"] == math.inf
    assert not recwarn


def test_no_token_is_an_error():
    with pytest.raises(DataError, match="no token"):
        Perplexity(type="perplexity").measure([{"nll": 0.0, "tokens": 0}], [], {})


def test_the_plugin_offers_each_type_once():
    names = [metric.type_name() for metric in register_metrics()]
    assert len(set(names)) == len(names)
    assert {"accuracy", "confusion", "entity-f1", "perplexity", "multi-label-f1", "spearman", "chrf"} <= set(names)
    assert not Perplexity.greater_is_better
