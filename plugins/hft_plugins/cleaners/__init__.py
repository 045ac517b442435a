"""The built-in cleaners: repairs of text, and filters of training rows; see plugin.py."""
