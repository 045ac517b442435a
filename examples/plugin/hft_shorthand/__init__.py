"""An example plugin for hft. Empty on purpose: importing `elongation` at predict time must import nothing else."""
