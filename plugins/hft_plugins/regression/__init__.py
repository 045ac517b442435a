"""Regression: the task and its objective."""
