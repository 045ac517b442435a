"""The model `bag`: a mean of n-gram vectors and a linear layer."""
