"""The pages for a browser: the list of tasks, and one for each task."""
