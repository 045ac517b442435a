"""The components keep to the contract."""

from hft_core.testing import contract_tests

test_contract = contract_tests("fewshot", slow=["technique/fitted-head:restores_its_state"])
