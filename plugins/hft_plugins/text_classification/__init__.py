"""Text classification: the task and its objective."""
