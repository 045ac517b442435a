"""Contrastive learning of text vectors for hft."""
