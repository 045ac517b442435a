"""Training a stage: streams of batches, one loop, checkpoints."""
