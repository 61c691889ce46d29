"""What changes a dataset: each command is one event, or one run."""
