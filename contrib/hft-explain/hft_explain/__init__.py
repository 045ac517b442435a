"""Attributions for models that were trained with hft."""
