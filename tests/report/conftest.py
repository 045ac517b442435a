from pathlib import Path

import pytest

from ..loading import module_at


@pytest.fixture
def report():
    """A fresh copy of the made-up report in sample.py."""
    return module_at(Path(__file__).with_name("sample.py")).sample()


@pytest.fixture
def bare(report):
    """The report of a run that only pre-trains."""
    empty = {
        "headline": None,
        "task": None,
        "base_model": None,
        "confusion": None,
        "metrics": {},
        "baselines": {},
        "scored": None,
        "scores": None,
        "ablation": None,
        "search": None,
        "tuning": None,
    }
    lists = {
        key: []
        for key in (
            "comparisons",
            "by_seed",
            "gates",
            "retained",
            "slices",
            "diagnosis",
            "per_class",
            "errors",
            "ledger",
            "checks",
            "sections",
            "warnings",
            "next",
        )
    }
    return report | empty | lists
