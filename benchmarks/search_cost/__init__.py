"""Device time of searches: its parts, and what each way to save some of it brings."""
