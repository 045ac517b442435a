"""Evidence: intervals of figures, and the baselines that every report shows."""
