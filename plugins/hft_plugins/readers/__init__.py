"""The built-in readers: files of several forms, data sets of the hub, and databases."""
