"""Last lines of a search: its results, or why it ended early."""
