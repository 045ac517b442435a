"""Samples of the optimizers and schedules."""

from hft_core.testing import Sample

SAMPLES = {"muon": Sample(settings={"matrices": r".*\.weight", "lr": 0.3})}
