"""The built-in readers: csv, jsonl and text files."""
