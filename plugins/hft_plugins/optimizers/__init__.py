"""Optimizers of torch, and learning-rate schedules."""
