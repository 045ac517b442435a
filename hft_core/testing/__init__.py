"""Contract tests for plugins: what the engine relies on, checked one by one.

In a plugin's tests one line is enough::

    from hft_core.testing import contract_tests

    test_contract = contract_tests("mine")

What its components are checked with (settings, rows, hand-made cases of a metric) are samples: a dict from type to `Sample`,
given here, or named in the entry-point group ``hft.samples`` under the plugin's name, where `hft plugins check` finds it too.
"""

from hft_core.testing.adapter import contract_tests
from hft_core.testing.checks import Check, checks_of
from hft_core.testing.sample import ROWS, TEXTS, Case, Sample, Samples
from hft_core.testing.subject import Unchecked

__all__ = ["ROWS", "TEXTS", "Case", "Check", "Sample", "Samples", "Unchecked", "checks_of", "contract_tests"]
