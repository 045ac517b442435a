"""The built-in metrics: classification and language modelling."""
