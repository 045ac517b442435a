"""The work of each kind of node: from the folders of its inputs into an empty folder of its own."""
