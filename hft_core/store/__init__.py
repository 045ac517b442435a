"""Where outputs are kept: by content key, complete or not at all."""
