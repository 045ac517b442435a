"""Tuning: rounds of diagnosis, one change of the recipe, and a comparison that decides whether it stays."""
