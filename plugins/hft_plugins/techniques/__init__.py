"""Techniques: weight averaging and layer-wise learning rates."""
