"""The built-in readers: csv, jsonl, text and CoNLL files."""
