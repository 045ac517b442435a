"""The checks as tests of pytest: one id for each component and check."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fnmatch import fnmatch
from pathlib import Path

from hft_core.testing.checks import Check, checks_of
from hft_core.testing.sample import Samples
from hft_core.testing.subject import Unchecked


def contract_tests(
    name: str, samples: Samples | None = None, files: Iterable[Path | str] = (), slow: Iterable[str] = ()
) -> Callable[[Check], None]:
    """Give the contract tests of a plugin, to be called ``test_…`` in a file of tests::

        test_contract = contract_tests("mine")

    Args:
        name: of the plugin, or of its distribution if that has one plugin.
        samples: what its components are checked with, by type; default: what its distribution offers as ``hft.samples``.
        files: plugin files to load besides.
        slow: patterns of ids, such as ``model/*:exports*``, that get pytest's mark `slow`.

    Raises PluginError for a plugin that is not installed.
    """
    import pytest

    patterns = list(slow)
    cases = [
        pytest.param(check, id=check.id, marks=pytest.mark.slow if any(fnmatch(check.id, p) for p in patterns) else ())
        for check in checks_of(name, samples, files)
    ]

    @pytest.mark.parametrize("check", cases)
    def test_contract(check: Check) -> None:
        try:
            check()
        except Unchecked as reason:
            pytest.skip(str(reason))

    return test_contract
