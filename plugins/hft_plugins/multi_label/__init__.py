"""Multi-label classification: the task and its objective."""
