"""Weight files: what they hold, what they lack, how they become parts of a pipeline."""
