"""The plugin keeps to hft's contract."""

from __future__ import annotations

from hft_core.testing import contract_tests

test_contract = contract_tests("explain", slow=["leaves_heavy_packages_out", "is_imported_*"])
