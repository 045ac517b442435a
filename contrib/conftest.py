"""Tests of distributions that are not installed are left out; `make` installs them all."""

from importlib.util import find_spec
from pathlib import Path

collect_ignore = [
    folder.name for folder in Path(__file__).parent.glob("hft-*") if find_spec(folder.name.replace("-", "_")) is None
]
