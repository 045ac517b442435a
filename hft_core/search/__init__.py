"""Search over a recipe's fields: the space, the study that keeps its trials, the processes that train them, the winner."""
