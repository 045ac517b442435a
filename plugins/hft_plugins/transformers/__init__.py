"""Models of the transformers library, and the language-modelling objectives that fit them."""
