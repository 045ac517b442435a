"""The built-in augmenters, see plugin.py."""
