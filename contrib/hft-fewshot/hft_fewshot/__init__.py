"""Few-shot classification for hft."""
