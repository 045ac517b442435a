"""Token classification: the task and its objective."""
