"""Text to text, such as translation and summaries: the task and its objective."""
