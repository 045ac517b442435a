import importlib.util
from pathlib import Path

import pytest


@pytest.fixture
def report():
    """A fresh copy of the made-up report in sample.py."""
    spec = importlib.util.spec_from_file_location("report_sample", Path(__file__).with_name("sample.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.sample()


@pytest.fixture
def bare(report):
    """The report of a run that only pre-trains."""
    empty = {"headline": None, "task": None, "base_model": None, "confusion": None, "metrics": {}, "baselines": {}}
    lists = {key: [] for key in ("per_class", "errors", "ledger", "checks", "sections", "warnings", "next")}
    return report | empty | lists
