"""Techniques: changes of parameters by part, of the loss, and of the weights that count."""
