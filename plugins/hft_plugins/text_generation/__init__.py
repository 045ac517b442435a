"""Text generation: the task; its objective is causal language modelling."""
