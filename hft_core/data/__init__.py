"""Rows: read, split, clean, augment, check; every row accounted for."""
