"""Every built-in plugin keeps to the contract that anyone's has to keep to, and off the network: a test for each check."""

from __future__ import annotations

import socket
from typing import NoReturn

import pytest

from hft_core.registry import load_registry
from hft_core.testing import contract_tests
from hft_core.testing.checks import OF_KIND

_TORCH = ("task", "model", "objective", "technique", "exporter")
SLOW = [
    "leaves_heavy_packages_out",
    "is_imported_*",
    "*:is_the_same_in_another_process",
    "*:runs_without_the_engine",
    "augmenter/neighbours:*",
    "augmenter/masked-words:*",
    "augmenter/back-translation:*",
    "technique/distillation:*",
    "cleaner/label-noise:*",
    "cleaner/language:*",
    "reader/dataset:*",
    *(f"{kind}/*:{check.__name__}" for kind in _TORCH for check in OF_KIND[kind]),
]


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no name be looked up, and nothing be connected to."""

    def refuse(*arguments: object, **options: object) -> NoReturn:
        raise AssertionError("a component touches the network")

    for name in ("create_connection", "getaddrinfo", "gethostbyname"):
        monkeypatch.setattr(socket, name, refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


for _plugin in load_registry(strict=False).plugins:
    if _plugin.distribution == "hft-core":
        globals()[f"test_{_plugin.name.replace('-', '_')}"] = contract_tests(_plugin.name, slow=SLOW)


def test_all_of_them_are_here() -> None:
    assert {"test_readers", "test_transformers", "test_onnx", "test_metrics", "test_text_classification"} <= set(
        globals()
    )
