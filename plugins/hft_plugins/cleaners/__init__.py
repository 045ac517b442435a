"""The built-in cleaners: unicode, html and whitespace repairs, exact duplicates and lengths."""
