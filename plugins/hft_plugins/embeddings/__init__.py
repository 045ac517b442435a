"""Sentence embeddings: one vector for each text, trained on pairs, or on pairs with a score."""
