"""The built-in augmenters: synonyms, random-swap and random-delete."""
