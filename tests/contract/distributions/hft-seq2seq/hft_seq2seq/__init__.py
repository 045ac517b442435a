"""Sequence to sequence for hft: a small T5 with two graphs, and text in, text out."""
