"""Encoder-decoders: the net, how it is built, its graphs, and the objective that pre-trains it."""
