"""Extractive question answering: the task, its objective and its metrics."""
