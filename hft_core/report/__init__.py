"""The report of a run: one HTML page and a model card, made of the dict that report.json holds."""
