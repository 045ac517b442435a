"""From a recipe to a run: a plan of nodes with content keys, carried out through the store."""
