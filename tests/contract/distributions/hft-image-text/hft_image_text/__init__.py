"""Classification of an image and a text together."""
